"""A model as a program: a free batch size, and of texts free lengths; of images any size where it resizes them."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from kantor.core.errors import ConfigError
from kantor.core.inputs import Inputs
from kantor.data.tokenised import TEXT
from kantor.models import Model
from kantor.models.families import is_text

_SMALLEST, _LARGEST = 2, 8192
"""Pixels a side that images of any size may have."""


@dataclass(frozen=True)
class Program:
    """A model that runs without kantor."""

    exported: torch.export.ExportedProgram
    takes: list[int | None] | dict[str, list[int | None]]
    """The shape of a batch, null for any number; of texts by the names of its arguments."""

    @property
    def any_size(self) -> bool:
        """Whether images may have any size."""
        return isinstance(self.takes, list) and self.takes[2:] == [None, None]

    def said(self, longest: int) -> str:
        """What it takes, in a sentence; empty where that is numbers.

        Args:
            longest: tokens that a text may have.
        """
        if isinstance(self.takes, dict):
            return f"The program takes {' and '.join(TEXT)} of any number of texts, of up to {longest} tokens."
        if len(self.takes) != 4:
            return ""
        _, channels, height, width = self.takes
        size = "of any size" if self.any_size else f"{height} pixels high and {width} wide, and no other size"
        return f"The program takes any number of images of {channels} channel(s), {size}."


def program_of(model: Model, *, bare: bool = False) -> Program:
    """The model as a program.

    Args:
        model: with its weights.
        bare: the network alone: its images are resized and normalised by whoever calls it.

    Raises:
        ConfigError: its network cannot be exported; says why.
    """
    model = model.eval()
    if is_text(model.input_shape):
        return _of_texts(model)
    example = torch.rand(2, *model.input_shape)
    if bare:
        example = model.normalise(_resized(example, model.size))
        return _of_samples(model.network, example, model.name)
    if model.size is not None and len(model.input_shape) == 3:
        try:
            return _of_samples(_AnySize(model, model.size), example, model.name, any_size=True)
        except ConfigError:  # one size it may take
            pass
    return _of_samples(model, example, model.name)


def exported(model: Model) -> torch.export.ExportedProgram:
    """The model as a program of torch; see :func:`program_of`."""
    return program_of(model).exported


def seen_by(model: Model, samples: Inputs, *, bare: bool) -> Inputs:
    """What a program of the model is given of samples as the data has them."""
    return model.normalise(_resized(samples, model.size)) if bare and isinstance(samples, Tensor) else samples


def _of_samples(network: nn.Module, example: Tensor, name: str, *, any_size: bool = False) -> Program:
    free: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    if any_size:
        free |= {2: torch.export.Dim("height", min=_SMALLEST, max=_LARGEST)}
        free |= {3: torch.export.Dim("width", min=_SMALLEST, max=_LARGEST)}
    program = _traced(network, (example,), {}, (free,), name)
    return Program(program, [None, example.shape[1], *([None, None] if any_size else example.shape[2:])])


def _of_texts(model: Model) -> Program:
    longest = model.input_shape[0]
    ids = torch.zeros(2, longest, dtype=torch.int64)
    named = dict(zip(TEXT, (ids, torch.ones_like(ids)), strict=True))
    free = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("tokens", min=1, max=longest)}
    program = _traced(_OfTokens(model).eval(), (), named, dict.fromkeys(named, free), model.name)
    return Program(program, {name: [None, None] for name in TEXT})


def _traced(
    network: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], free: Any, name: str
) -> torch.export.ExportedProgram:
    try:
        return torch.export.export(network.eval(), arguments, named, dynamic_shapes=free)
    except Exception as error:  # whatever a network of the user's raises under tracing
        why = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{name} cannot be made a program of torch: {why}. Its forward may choose by the values of tensors. "
            "Take its weights: --format safetensors."
        ) from error


class _AnySize(nn.Module):
    """A model that resizes its images, whatever their size."""

    def __init__(self, model: Model, size: int) -> None:
        super().__init__()
        self.model, self.size = model, size

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """The logits."""
        return self.model(_resized(x, self.size))


class _OfTokens(nn.Module):
    """A model of texts with its arguments named, as a program has them."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Int64[Tensor, "batch tokens"], attention_mask: Int64[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch classes"]:
        """The logits."""
        return self.model(input_ids=input_ids, attention_mask=attention_mask)


def _resized(x: Tensor, size: int | None) -> Tensor:
    return x if size is None else F.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
