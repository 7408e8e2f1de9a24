"""A plain convolutional network."""

from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.errors import ConfigError


class CNN(nn.Module):
    """Three stages of convolution, batch normalisation and ReLU, then the mean over positions and a classifier.

    Modules: ``layer1``, ``layer2`` and ``layer3``, with a quarter, a half and all of ``width`` channels on full, half
    and quarter resolution, and ``linear``.

    Args:
        num_classes: outputs.
        input_shape: ``(channels, height, width)`` of one image; the size may vary.
        width: channels of the last stage, at least 4.
    """

    def __init__(self, num_classes: int, input_shape: tuple[int, ...], *, width: int = 64) -> None:
        super().__init__()
        if width < 4:
            raise ConfigError(f"cnn@width={width}: the width is the last stage's channels and at least 4.")
        self.layer1 = _stage(input_shape[0], width // 4, stride=1)
        self.layer2 = _stage(width // 4, width // 2, stride=2)
        self.layer3 = _stage(width // 2, width, stride=2)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """The logits of normalised images."""
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU())
