"""From pixels in [0, 1] to what a network was trained on."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.errors import ConfigError, ShapeError, suggest

Mode = Literal["imagenet", "cifar", "none", "standard", "given"]

NAMED: dict[Mode, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}
"""Mean and standard deviation of each colour, over pixels in [0, 1]."""


class Normalise(nn.Module):
    """Subtract a mean and divide by a standard deviation, per channel of an image or per number of a vector.

    Mean and deviation are buffers that are not saved with the weights: they come from the model's name or from its
    file's metadata. A grey image becomes three equal channels where the mean has three.

    Args:
        mode: ``imagenet``, ``cifar``, ``none``, ``standard`` (fitted to training data before use) or ``given``.
        mean: for ``given``, and for ``standard`` once fitted.
        std: the same.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(self, mode: Mode, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> None:
        super().__init__()
        self.mode: Mode = mode
        if mode in NAMED:
            mean, std = NAMED[mode]
        self.register_buffer("mean", None if mean is None else torch.as_tensor(mean).float(), persistent=False)
        self.register_buffer("std", None if std is None else torch.as_tensor(std).float(), persistent=False)

    @classmethod
    def parse(cls, text: str) -> "Normalise":
        """From what follows ``@normalise=``: a mode's name, or ``MEAN/STD`` as numbers separated by commas.

        Raises:
            ConfigError: neither of them.
        """
        if text in ("imagenet", "cifar", "none", "standard"):
            return cls(text)  # type: ignore[arg-type]
        try:
            mean, std = (tuple(float(number) for number in part.split(",")) for part in text.split("/"))
        except ValueError:
            raise ConfigError(
                f"normalise={text} is neither a name nor mean/std (as 0.5,0.5,0.5/0.25,0.25,0.25). "
                + suggest(text, ["imagenet", "cifar", "none", "standard"])
            ) from None
        if len(mean) != len(std) or min(std) <= 0:
            raise ConfigError(f"normalise={text}: there must be as many deviations as means, all of them positive.")
        return cls("given", mean, std)

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float]) -> "Normalise":
        """By these numbers, under their name where they have one."""
        numbers = (tuple(mean), tuple(std))
        for mode, named in NAMED.items():
            if numbers == named:
                return cls(mode)
        return cls("given", *numbers)

    @property
    def needs_fit(self) -> bool:
        """It is ``standard`` and has not seen training data."""
        return self.mode == "standard" and self.mean is None

    def fit(self, x: Float[Tensor, "samples ..."]) -> None:
        """Take mean and deviation from training samples: per number of ``[n, d]``, per channel of ``[n, c, h, w]``.

        What never varies keeps a deviation of 1.
        """
        if self.mode != "standard":
            raise ConfigError(f"normalise={self.mode} is not fitted to data; normalise=standard is.")
        x = x.double().transpose(0, 1).flatten(1)
        mean, std = x.mean(dim=1), x.std(dim=1, correction=0)
        self.mean, self.std = mean.float(), torch.where(std > 1e-8 * (1 + mean.abs()), std, 1.0).float()

    def facts(self) -> dict[str, Any]:
        """All that is needed to build it again, as JSON holds it."""
        mean, std = (None if x is None else x.tolist() for x in (self.mean, self.std))
        return {"mode": self.mode, "mean": mean, "std": std}

    def forward(self, x: Float[Tensor, "batch channels ..."]) -> Float[Tensor, "batch network_channels ..."]:
        """The normalised samples."""
        if self.mode == "none":
            return x
        if self.mean is None or self.std is None:
            raise ConfigError("normalise=standard has not seen training data yet: call the model's fit_normaliser.")
        if x.shape[1] not in (1, self.mean.numel()):
            raise ShapeError(
                f"normalise={self.mode} has {self.mean.numel()} means, the samples {tuple(x.shape)} have "
                f"{x.shape[1]} channels. Use normalise=none, or give as many numbers."
            )
        shape = (1, -1, *[1] * (x.ndim - 2))
        return (x - self.mean.view(shape)) / self.std.view(shape)

    def extra_repr(self) -> str:
        """The mode, as it is printed."""
        return self.mode
