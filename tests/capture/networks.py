"""Networks as strangers write them, with the hidden layers that a reader would name."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class Perceptron(nn.Module):
    """Layers as attributes, ``torch.relu`` between them, no bias."""

    def __init__(self, *widths):
        super().__init__()
        self.count = len(widths) - 1
        for place in range(self.count):
            setattr(self, f"fc{place + 1}", nn.Linear(widths[place], widths[place + 1], bias=False))

    def forward(self, x):
        x = x.flatten(1)
        for place in range(1, self.count):
            x = torch.relu(getattr(self, f"fc{place}")(x))
        return getattr(self, f"fc{self.count}")(x)


class LeNet(nn.Module):
    """Convolutions without blocks; pooling, activation and dropout as functions."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.drop = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5), nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(F.dropout(x, training=self.training))


class Normalised(nn.Module):
    """Convolution, batch norm and ``F.relu``, then the mean over positions."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1, stride=2)
        self.b1, self.b2 = nn.BatchNorm2d(16), nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = F.relu(self.b1(self.c1(x)))
        x = F.relu(self.b2(self.c2(x)))
        return self.fc(x.mean((2, 3)))


class Twice(nn.Module):
    """One activation module and one layer that run several times."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.out, self.act = nn.Linear(784, 32), nn.Linear(32, 32), nn.Linear(32, 5), nn.ReLU()

    def forward(self, x):
        x = self.act(self.first(x.flatten(1)))
        x = self.act(self.again(x))
        x = self.act(self.again(x))
        return self.out(x)


class Recurrent(nn.Module):
    """A row of the image is a step; the last state is classified."""

    def __init__(self, batch_first):
        super().__init__()
        self.rnn, self.out = nn.LSTM(28, 24, batch_first=batch_first), nn.Linear(24, 5)
        self.batch_first = batch_first

    def forward(self, x):
        x = x[:, 0] if self.batch_first else x[:, 0].transpose(0, 1)
        states, _ = self.rnn(x)
        return self.out(states[:, -1] if self.batch_first else states[-1])


class ConvolutionalHead(nn.Module):
    """SqueezeNet's make: the classifier is a convolution, and its map is averaged."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU())
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(16, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x):
        return self.classifier(self.features(x)).flatten(1)


class Block(nn.Module):
    def __init__(self, tokens, dim):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.tokens, self.channels = nn.Linear(tokens, tokens), nn.Linear(dim, dim)

    def forward(self, x):
        x = x + self.tokens(self.n1(x).mT).mT
        return x + F.gelu(self.channels(self.n2(x)))


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 12, 7, 7)
        self.blocks = nn.Sequential(*[Block(16, 12) for _ in range(2)])
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 10)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.patches(x).flatten(2).mT)).mean(1))


class Encoder(nn.Module):
    """torch's own transformer layers, which fuse in eval mode; rows of the image are tokens."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(28, 4, 32, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(28, 10)

    def forward(self, x):
        return self.head(self.encoder(x[:, 0])[:, 0])


class ConvolutionalStem(nn.Module):
    """Maps of two resolutions, then tokens of two, as LeViT has; heads of attention stand apart, as in CoaT."""

    class Heads(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.values, self.mixed = nn.Linear(dim // 2, dim // 2), nn.Identity()

        def forward(self, x):
            heads = x.unflatten(-1, (2, -1)).transpose(1, 2)
            return self.mixed(self.values(heads))

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU()), nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1), nn.ReLU())
        )
        self.heads = self.Heads(8)
        self.near, self.far = (nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8), nn.GELU()) for _ in range(2))
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = self.stem(x).flatten(2).mT
        x = self.near(x + self.heads(x).transpose(1, 2).flatten(2))
        return self.head(self.far(x[:, ::4]).mean(1))


class Regression(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(784, 16), nn.Linear(16, 1)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x.flatten(1)))).squeeze(1)


def sequential(*widths):
    layers = [nn.Flatten()]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers[:-2])


class Windows(nn.Module):
    """A block that mixes its map window by window."""

    def __init__(self, dim):
        super().__init__()
        self.mixed = nn.Sequential(nn.Linear(dim, dim), nn.GELU())

    def forward(self, x):
        count, channels, height, width = x.shape
        rows = x.unflatten(2, (-1, 7)).unflatten(4, (-1, 7)).permute(0, 2, 4, 3, 5, 1)
        mixed = self.mixed(rows.reshape(count, -1, 49, channels)).reshape(rows.shape)
        return mixed.permute(0, 5, 1, 3, 2, 4).reshape(count, channels, height, width)


def windows():
    """Their maps are [windows, 49 cells, channels] inside, which look like maps of 49 rows."""
    first = nn.Sequential(nn.Conv2d(1, 6, 3, 1, 1), Windows(6))
    second = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), Windows(8))
    return nn.Sequential(first, second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


def depthwise():
    def separable(channels_in, channels_out, stride):
        deep = nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in)
        return nn.Sequential(deep, nn.BatchNorm2d(channels_in), nn.ReLU(), nn.Conv2d(channels_in, channels_out, 1))

    blocks = nn.Sequential(separable(1, 8, 1), separable(8, 8, 2), separable(8, 16, 2))
    return nn.Sequential(blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


STRANGERS = {
    "perceptron": (lambda: Perceptron(784, 40, 20, 12, 10), ["fc2.input", "fc3.input", "fc4.input"]),
    "one hidden layer": (lambda: Perceptron(784, 32, 10), ["fc2.input"]),
    "a deep perceptron": (
        lambda: Perceptron(784, *[32] * 9, 10),
        ["fc3.input", "fc5.input", "fc8.input", "fc10.input"],
    ),
    "sequential": (lambda: sequential(784, 64, 32, 10), ["2", "5"]),
    "LeNet": (LeNet, ["conv2.input", "fc1.input", "fc2.input"]),
    "batch norm and F.relu": (Normalised, ["c2.input", "fc.input"]),
    "modules that run twice": (Twice, ["again.input", "out.input"]),
    "recurrent": (lambda: Recurrent(True), ["out.input"]),
    "recurrent, time first": (lambda: Recurrent(False), ["out.input"]),
    "convolutional head": (ConvolutionalHead, ["features.1", "features"]),
    "mixer": (Mixer, ["blocks.0", "blocks.1"]),
    "tokens behind a stem of maps": (ConvolutionalStem, ["near", "far"]),
    "windows": (windows, ["0", "1"]),
    "transformer layers": (Encoder, ["encoder.layers.0", "encoder.layers.1"]),
    "depthwise": (depthwise, ["0.0", "0.1", "0"]),
    "regression": (Regression, ["b.input"]),
}
"""What they are, how to make one for ``[N, 1, 28, 28]``, and their stages."""
