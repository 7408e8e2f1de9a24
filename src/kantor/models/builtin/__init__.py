"""Networks for CPUs, for images of CIFAR's size, vectors and texts.

Each is a factory ``(num_classes, input_shape, *, options)``.
"""

from collections.abc import Callable
from functools import partial

from torch import nn

from kantor.models.builtin.bag import Bag
from kantor.models.builtin.cnn import CNN
from kantor.models.builtin.gpt import GPT
from kantor.models.builtin.mlp import MLP
from kantor.models.builtin.resnet import ResNet
from kantor.models.builtin.textcnn import TextCNN
from kantor.models.builtin.vit import ViT

BUILTIN: dict[str, Callable[..., nn.Module]] = {
    **{f"resnet{depth}": partial(ResNet, depth) for depth in (8, 14, 20, 32, 44, 56)},
    "cnn": CNN,
    "mlp": MLP,
    "bag": Bag,
    "gpt": GPT,
    "textcnn": TextCNN,
    "vit": ViT,
}
"""Name -> factory. The options written with ``@`` are the factory's keyword arguments."""
FOR_TEXT = ("bag", "textcnn")
"""Those that classify texts."""
LANGUAGE_MODELS = ("gpt",)
"""Those that say a text's next token."""
