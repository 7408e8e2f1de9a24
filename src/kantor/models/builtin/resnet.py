"""The residual networks for CIFAR of He et al. 2015 (arXiv 1512.03385, section 4.2), with parameter-free shortcuts."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.errors import ConfigError


class ResNet(nn.Module):
    """Three stages of basic blocks with 16, 32 and 64 channels on full, half and quarter resolution.

    Modules: ``conv1, bn1, layer{1,2,3}.{i}.{conv1,bn1,conv2,bn2}, linear``. Shortcuts are option A: where the shape
    changes they take every second pixel and fill the new channels with zeros. The paper does not say where the zeros
    go; here half of them stand before and half after the channels, as in the weights that are passed around.

    Args:
        depth: layers with weights, 6 n + 2.
        num_classes: outputs.
        input_shape: ``(channels, height, width)`` of one image; the size may vary.
        width: factor on the channels of every stage.
    """

    def __init__(self, depth: int, num_classes: int, input_shape: tuple[int, ...], *, width: float = 1.0) -> None:
        super().__init__()
        if not width > 0:
            raise ConfigError(f"resnet@width={width:g}: the width is a positive multiple of the usual channels.")
        blocks = (depth - 2) // 6
        channels = [max(1, round(base * width)) for base in (16, 32, 64)]
        self.conv1 = nn.Conv2d(input_shape[0], channels[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.layer1 = _stage(channels[0], channels[0], blocks, stride=1)
        self.layer2 = _stage(channels[0], channels[1], blocks, stride=2)
        self.layer3 = _stage(channels[1], channels[2], blocks, stride=2)
        self.linear = nn.Linear(channels[2], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """The logits of normalised images."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.stride = stride
        self.new_channels = channels_out - channels_in

    def forward(self, x: Float[Tensor, "batch channels_in h w"]) -> Float[Tensor, "batch channels_out h2 w2"]:
        """The block's output, after its last ReLU."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            before = self.new_channels // 2
            x = F.pad(x, (0, 0, 0, 0, before, self.new_channels - before))
        return F.relu(residual + x)


def _stage(channels_in: int, channels_out: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out, stride)
    return nn.Sequential(first, *(BasicBlock(channels_out, channels_out, 1) for _ in range(blocks - 1)))
