"""Networks as strangers write them: no two of one make, none of them known to kantor."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Layers as attributes, no bias, ``torch.relu`` between them (the make of OTFusion's public MNIST model)."""

    def __init__(self, num_classes: int, input_shape: tuple[int, ...], *, hidden: str = "400-200-100") -> None:
        super().__init__()
        widths = [torch.Size(input_shape).numel(), *map(int, hidden.split("-")), num_classes]
        self.count = len(widths) - 1
        for place, (before, after) in enumerate(pairwise(widths), start=1):
            setattr(self, f"fc{place}", nn.Linear(before, after, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for place in range(1, self.count):
            x = torch.relu(getattr(self, f"fc{place}")(x))
        return getattr(self, f"fc{self.count}")(x)


class Sequential(nn.Sequential):
    """Linear layers and activation modules in one row, dropout between them where asked for."""

    def __init__(
        self,
        num_classes: int,
        input_shape: tuple[int, ...],
        *,
        hidden: int = 64,
        depth: int = 2,
        activation: str = "ReLU",
        norm: bool = False,
    ) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        before = torch.Size(input_shape).numel()
        for _ in range(depth):
            layers += [nn.Linear(before, hidden), *([nn.LayerNorm(hidden)] if norm else []), getattr(nn, activation)()]
            before = hidden
        super().__init__(*layers, nn.Linear(before, num_classes))


class PlainCNN(nn.Module):
    """Convolutions with bias and without norm; pooling and activation as functions, the mean over positions."""

    def __init__(self, num_classes: int, input_shape: tuple[int, ...], *, width: int = 24) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(input_shape[0], width, 3, padding=1)
        self.c2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.c3 = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.fc = nn.Linear(2 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        return self.fc(F.relu(self.c3(x)).mean((2, 3)))


class LeNet(nn.Module):
    """The tutorials' network: two convolutions, a flattening, two linear layers."""

    def __init__(self, num_classes: int, input_shape: tuple[int, ...], *, width: int = 16) -> None:
        super().__init__()
        channels, height, side = input_shape
        self.conv1, self.conv2 = nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3, padding=1)
        self.fc1 = nn.Linear(2 * width * (height // 4) * (side // 4), 4 * width)
        self.fc2 = nn.Linear(4 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(F.dropout(x, 0.25, self.training))


class Depthwise(nn.Module):
    """Depthwise separable convolutions with batch norm."""

    def __init__(self, num_classes: int, input_shape: tuple[int, ...], *, width: int = 16) -> None:
        super().__init__()

        def separable(channels: int, out: int, stride: int) -> nn.Sequential:
            deep = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
            flat = nn.Conv2d(channels, out, 1, bias=False)
            return nn.Sequential(deep, nn.BatchNorm2d(channels), nn.ReLU(), flat, nn.BatchNorm2d(out), nn.ReLU())

        self.stem = nn.Conv2d(input_shape[0], width, 3, 2, 1)
        self.blocks = nn.Sequential(
            separable(width, 2 * width, 1), separable(2 * width, 4 * width, 2), separable(4 * width, 4 * width, 1)
        )
        self.fc = nn.Linear(4 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


class MixerBlock(nn.Module):
    """Tokens are mixed, then channels; GELU and layer norm."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.tokens = nn.Sequential(nn.Linear(tokens, 2 * tokens), nn.GELU(), nn.Linear(2 * tokens, tokens))
        self.channels = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).mT).mT
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    """An MLP-Mixer."""

    def __init__(
        self, num_classes: int, input_shape: tuple[int, ...], *, dim: int = 24, depth: int = 3, patch: int = 7
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(input_shape[0], dim, patch, patch)
        tokens = (input_shape[1] // patch) * (input_shape[2] // patch)
        self.blocks = nn.Sequential(*[MixerBlock(tokens, dim) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.patches(x).flatten(2).mT)).mean(1))


class Recurrent(nn.Module):
    """A GRU over the rows of an image; the last state is classified."""

    def __init__(self, num_classes: int, input_shape: tuple[int, ...], *, hidden: int = 64) -> None:
        super().__init__()
        self.rnn = nn.GRU(input_shape[0] * input_shape[2], hidden, batch_first=True)
        self.out = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.rnn(x.transpose(1, 2).flatten(2))
        return self.out(states[:, -1])
