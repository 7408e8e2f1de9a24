"""A multilayer perceptron, for vectors and small images."""

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from kantor.models.builtin.sizes import at_least


class MLP(nn.Module):
    """``depth`` hidden layers with ReLU, then a classifier. Modules: ``layers.{i}`` and ``linear``.

    Args:
        num_classes: outputs.
        input_shape: of one sample, flattened.
        hidden: neurons of each hidden layer.
        depth: hidden layers; 0 is a linear classifier.
    """

    def __init__(self, num_classes: int, input_shape: tuple[int, ...], *, hidden: int = 128, depth: int = 2) -> None:
        super().__init__()
        at_least(1, "mlp", hidden=hidden)
        at_least(0, "mlp", depth=depth)
        widths = [math.prod(input_shape), *[hidden] * depth]
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Linear(before, after), nn.ReLU()) for before, after in pairwise(widths))
        )
        self.linear = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch classes"]:
        """The logits of normalised samples of any shape."""
        return self.linear(self.layers(x.flatten(1)))
