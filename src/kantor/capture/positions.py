"""Where a layer's values lie: which tokens are padding, and which grid they fill."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from kantor.capture.layout import image_of, keeps_ratio
from kantor.capture.masks import Meaning, mask_of
from kantor.core.inputs import Inputs, tensors_of

ENDS = "token_ends"
"""What stands among a text's inputs and is no argument of a network: after how many letters of the text each token
ends; 0 for a mark of beginning or end, and for padding; -1 for space alone, which belongs to what follows it."""
TOKENS = "input_ids"
"""What a text's tokens are called among the inputs."""
_BEFORE_PATCHES = (0, 1, 2, 5)
"""Tokens before the patches: none, a class token, DeiT's two, or a class token and four registers."""


@dataclass(frozen=True)
class LayerOutput:
    """What a layer returned, with what its network's inputs say of its positions."""

    values: Float[Tensor, "batch ..."]
    """``[N, D]``, ``[N, T, D]``, ``[N, C, H, W]`` or ``[N, C, D, H, W]``."""
    mask: Bool[Tensor, "batch tokens"] | None = None
    """Which tokens count; None where all of them do."""
    grid: tuple[int, int] | None = None
    """The height and width that the last ``height * width`` tokens fill, where they are patches of an image; None where
    they are a sequence, or no tokens."""
    ends: Int64[Tensor, "batch tokens"] | None = None
    """After how many letters of its text each token ends, 0 where it stands for none; None where that is not known."""
    tokens: Int64[Tensor, "batch tokens"] | None = None
    """The tokens themselves, where ``ends`` are known."""


def placed(
    values: Float[Tensor, "batch ..."],
    inputs: Inputs | None,
    layer: str = "",
    meanings: Mapping[str, Meaning] = MappingProxyType({}),
) -> LayerOutput:
    """A layer's output with its mask and grid.

    Tokens have the inputs' mask where one is of their number (:func:`~kantor.capture.masks.mask_of`). Where an image
    went in they are its patches, after a class token or other such; without an image, or where a mask or tokens of
    their number went in too, they are a sequence, whatever their number.

    Args:
        values: the output.
        inputs: what the network was given; None where that is not known.
        layer: its path, which tells an encoder's layers from a decoder's.
        meanings: what masks of other names say.

    Raises:
        ShapeError: see :func:`~kantor.capture.masks.mask_of`.
    """
    if values.ndim != 3 or inputs is None:
        return LayerOutput(values)
    tokens, given = values.shape[1], tensors_of(inputs)
    mask = mask_of(layer, tokens, inputs, meanings)
    ends = None if isinstance(inputs, Tensor) else inputs.get(ENDS)
    if ends is not None and ends.shape[1] == tokens:
        assert not isinstance(inputs, Tensor)
        return LayerOutput(values, mask, ends=ends, tokens=inputs.get(TOKENS))
    if mask is not None:
        return LayerOutput(values, mask)
    if any(x.ndim == 2 and x.shape[1] == tokens for x in given):
        return LayerOutput(values)
    return LayerOutput(values, grid=patches(tokens, image_of(given)))


def patches(tokens: int, image: tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width of the grid that the last tokens fill: in the image's aspect ratio, else a square.

    Networks of transformers and timm resize an image to a square first.

    Args:
        tokens: how many there are.
        image: height and width of the network's input; None where it is no image.

    Returns:
        None where there is no image, or they fill no such grid.
    """
    if image is None:
        return None
    return _filled(tokens, image) or _filled(tokens, (1, 1))


def _filled(tokens: int, image: tuple[int, int]) -> tuple[int, int] | None:
    for before in _BEFORE_PATCHES:
        cells = tokens - before
        side = math.sqrt(max(cells, 0) * image[0] / image[1])
        for height in {math.floor(side), math.ceil(side)} - {0}:
            width = cells // height
            if cells > 0 and height * width == cells and keeps_ratio(height, width, image):
                return height, width
    return None
