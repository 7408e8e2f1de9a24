"""Transforms that make one view of an image: functions of its pixels and its id alone, the same in every epoch."""

import math
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from jaxtyping import Float32, Int64
from torch import Tensor

from kantor.core import seeds
from kantor.core.errors import ConfigError, suggest
from kantor.core.reading import parse_yaml

LARGEST_SIDE = 8192
"""Of an image, in pixels."""
_LARGEST_DEVIATION = 100

Images = Float32[Tensor, "batch channels height width"]
Shape = tuple[int, ...]

# Linear sRGB to XYZ over the white of D65 (IEC 61966-2-1, CIE 15): each row sums to 1.
_XYZ = torch.tensor([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


class Transform(Protocol):
    """Images of the data -> one view of them, in [0, 1] again. A frozen dataclass, whose fields are its settings."""

    def shape(self, image: Shape) -> Shape:
        """The shape of one sample's view.

        Raises:
            ConfigError: such an image has no such view.
        """
        ...

    def __call__(self, images: Images, ids: Int64[np.ndarray, " batch"]) -> Images:
        """The views of ``images``, whose samples have the numbers ``ids``."""
        ...


@dataclass(frozen=True)
class Image:
    """The image as it is."""

    def shape(self, image: Shape) -> Shape:
        """The image's own."""
        return _image(image, "image")

    def __call__(self, images: Images, ids: Int64[np.ndarray, " batch"]) -> Images:  # noqa: ARG002
        """The same tensor."""
        return images


@dataclass(frozen=True)
class Luminance:
    """L of CIELAB (D65), over 100: one channel."""

    def shape(self, image: Shape) -> Shape:
        """One channel."""
        return 1, *_coloured(image, "luminance")[1:]

    def __call__(self, images: Images, ids: Int64[np.ndarray, " batch"]) -> Images:  # noqa: ARG002
        """L in [0, 1]."""
        return cielab(images)[:, :1] / 100


@dataclass(frozen=True)
class Chrominance:
    """a and b of CIELAB (D65), as (a + 128) / 255: two channels, grey is .502."""

    def shape(self, image: Shape) -> Shape:
        """Two channels."""
        return 2, *_coloured(image, "chrominance")[1:]

    def __call__(self, images: Images, ids: Int64[np.ndarray, " batch"]) -> Images:  # noqa: ARG002
        """The two in [0, 1]: sRGB colours have a in -87 to 99 and b in -108 to 95."""
        return (cielab(images)[:, 1:] + 128) / 255


@dataclass(frozen=True)
class Small:
    """The image at another resolution (bilinear, antialiased), ``side`` pixels high and wide."""

    side: int = 16

    def __post_init__(self) -> None:
        if isinstance(self.side, bool) or not isinstance(self.side, int) or not 1 <= self.side <= LARGEST_SIDE:
            raise ConfigError(
                f"small@side={self.side}: the side is a number of pixels, 1 or more, at most {LARGEST_SIDE}."
            )

    def shape(self, image: Shape) -> Shape:
        """As many channels, ``side`` by ``side``."""
        return _image(image, "small")[0], self.side, self.side

    def __call__(self, images: Images, ids: Int64[np.ndarray, " batch"]) -> Images:  # noqa: ARG002
        """The resized images."""
        return F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)


@dataclass(frozen=True)
class Degraded:
    """The image through a Gaussian blur of deviation ``blur`` pixels, then with Gaussian noise of deviation ``noise``.

    The noise is a function of the sample's number: the same in every epoch, batch and run.
    """

    noise: float = 0.1
    blur: float = 1.0

    def __post_init__(self) -> None:
        for name in ("noise", "blur"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST_DEVIATION:
                raise ConfigError(
                    f"degraded@{name}={value}: a deviation is a number, 0 or more, at most {_LARGEST_DEVIATION}."
                )

    def shape(self, image: Shape) -> Shape:
        """The image's own."""
        return _image(image, "degraded")

    def __call__(self, images: Images, ids: Int64[np.ndarray, " batch"]) -> Images:
        """The degraded images, cut off at 0 and 1."""
        if self.blur:
            images = _blurred(images, self.blur)
        if self.noise:
            size = images.shape[1:]
            drawn = [torch.randn(size, generator=seeds.generator(seeds.VIEW, number)) for number in ids.tolist()]
            images = images + self.noise * torch.stack(drawn)
        return images.clamp(0, 1)


TRANSFORMS: dict[str, type[Transform]] = {
    "image": Image,
    "luminance": Luminance,
    "chrominance": Chrominance,
    "small": Small,
    "degraded": Degraded,
}
"""By the name that ``--views`` takes."""


def transform(name: str, settings: dict[str, str]) -> Transform:
    """The transform called ``name``, with its settings as text.

    Raises:
        ConfigError: a setting that it has not, or a value that it cannot take.
    """
    kind: Any = TRANSFORMS[name]
    known = [field.name for field in fields(kind)]
    for key in settings:
        if key not in known:
            raise ConfigError(f"View {name} has no setting {key!r}. {suggest(key, [*known, 'of'])}")
    try:
        values = {key: parse_yaml(value) for key, value in settings.items()}
    except yaml.YAMLError:
        written = "".join(f"@{key}={value}" for key, value in settings.items())
        raise ConfigError(f"View {name}{written}: a setting's value is a number.") from None
    return kind(**values)


def written(made: Transform) -> str:
    """A transform as ``--views`` takes it, every setting written out."""
    name = next(name for name, kind in TRANSFORMS.items() if type(made) is kind)
    return name + "".join(f"@{key}={value}" for key, value in vars(made).items())


def cielab(images: Float32[Tensor, "batch 3 height width"]) -> Float32[Tensor, "batch 3 height width"]:
    """L (0 to 100), a and b of sRGB pixels in [0, 1], under D65 (CIE 15:2004)."""
    linear = torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055) ** 2.4)
    white = _XYZ / _XYZ.sum(dim=1, keepdim=True)
    x, y, z = torch.einsum("rc,bchw->rbhw", white, linear)
    fx, fy, fz = (
        torch.where(t > (6 / 29) ** 3, t.clamp_min(1e-6) ** (1 / 3), t * 841 / 108 + 4 / 29) for t in (x, y, z)
    )
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=1)


def _blurred(images: Images, deviation: float) -> Images:
    reach = math.ceil(3 * deviation)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-(steps**2) / (2 * deviation**2))
    weights = (weights / weights.sum()).expand(images.shape[1], 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, weights.unsqueeze(2), groups=images.shape[1])
    return F.conv2d(rows, weights.unsqueeze(3), groups=images.shape[1])


def _image(shape: Shape, name: str) -> Shape:
    if len(shape) != 3:
        raise ConfigError(f"View {name} is made of images, and these are vectors of {shape[0]} numbers.")
    return shape


def _coloured(shape: Shape, name: str) -> Shape:
    if _image(shape, name)[0] != 3:
        raise ConfigError(f"View {name} is made of colour images, and these have {shape[0]} channel(s).")
    return shape
