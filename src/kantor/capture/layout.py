"""What a module returned, as the one tensor and the one layout that everything above capture sees."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ShapeError

Layout = Literal["channels_first", "channels_last"]
"""How a four-dimensional output is laid out: ``[N, C, H, W]`` or ``[N, H, W, C]``."""

_PREFERRED = ("logits", "last_hidden_state")


def tensor_of(output: Any, name: str) -> Tensor:
    """The tensor in what a module returned.

    A tensor is itself. A mapping or an object with named fields (the outputs of transformers) gives ``logits``, else
    ``last_hidden_state``, else its only tensor. Any other tuple or list gives its first entry (attention returns
    ``(output, weights)``).

    Args:
        output: what the module's forward returned.
        name: the layer, for the message.

    Raises:
        ShapeError: there is no tensor, or more than one and no rule that picks.
    """
    if isinstance(output, Tensor):
        return output
    for field in _PREFERRED:
        value = output.get(field) if isinstance(output, Mapping) else getattr(output, field, None)
        if isinstance(value, Tensor):
            return value
    if isinstance(output, Mapping):
        tensors = [value for value in output.values() if isinstance(value, Tensor)]
        if len(tensors) == 1:
            return tensors[0]
        raise ShapeError(
            f"Layer '{name}' returns {len(tensors)} tensors ({', '.join(map(str, output))}), and none of them is "
            f"named {' or '.join(_PREFERRED)}. Choose a module inside it that returns one tensor."
        )
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        return output[0]
    raise ShapeError(
        f"Layer '{name}' returns {type(output).__name__}, which holds no tensor to read. Choose a module inside it."
    )


def layout_of(shape: torch.Size, image: tuple[int, int] | None) -> Layout:
    """Which layout a four-dimensional output has, judged by which two sides keep the image's aspect ratio.

    Channel-first if the last two sides fit the image's ratio to within a cell, channel-last if only the second and
    third do, and channel-first, torch's habit, if neither pair fits. So ``[N, 7, 7, 768]`` of a square image is
    channel-last, and ``[N, 8, 8, 8]`` is channel-first.

    Args:
        shape: ``[N, a, b, c]``.
        image: height and width of the network's input; None (taken as square) where the input is no image.
    """
    if _fits(shape[2], shape[3], image or (1, 1)):
        return "channels_first"
    return "channels_last" if _fits(shape[1], shape[2], image or (1, 1)) else "channels_first"


def as_features(
    x: Tensor,
    name: str,
    *,
    image: tuple[int, int] | None = None,
    batch: int | None = None,
    layout: Layout | None = None,
) -> Float[Tensor, "batch ..."]:
    """A layer's output as ``[N, D]``, ``[N, C, H, W]`` or ``[N, T, D]``; a channel-last map becomes channel-first.

    Args:
        x: the output.
        name: the layer, for the message.
        image: height and width of the network's input, which tells the layouts apart (see ``layout_of``).
        batch: samples in the network's input, if known.
        layout: overrides what ``layout_of`` would say.

    Raises:
        ShapeError: another number of dimensions, another first dimension than the batch, or no real numbers.
    """
    if not x.is_floating_point():
        raise ShapeError(f"Layer '{name}' returns {x.dtype}; a layer to transfer or compare must return real numbers.")
    if x.ndim not in (2, 3, 4):
        raise ShapeError(
            f"Layer '{name}' returns {tuple(x.shape)}. Layers that can be used return [N, D], [N, C, H, W] or "
            "[N, T, D]. Choose a module before or after it."
        )
    if batch is not None and x.shape[0] != batch:
        raise ShapeError(
            f"Layer '{name}' returns {tuple(x.shape)}, whose first side is not the batch of {batch} (windows or time "
            "come first inside some modules). Choose the module around it."
        )
    if x.ndim == 4 and (layout or layout_of(x.shape, image)) == "channels_last":
        return x.permute(0, 3, 1, 2)
    return x


def _fits(height: int, width: int, image: tuple[int, int]) -> bool:
    # Strides round up or down, so each side may be off by less than a cell.
    return abs(height - width * image[0] / image[1]) < 1 and abs(width - height * image[1] / image[0]) < 1
