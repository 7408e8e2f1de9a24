"""What a module returned, as the one tensor and the one layout that everything above capture sees."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ShapeError

Layout = Literal["channels_first", "channels_last"]
"""How an output with positions is laid out: ``[N, C, H, W]`` or ``[N, H, W, C]``; ``[N, C, L]`` or ``[N, T, D]``."""

_PREFERRED = ("logits", "last_hidden_state", "out")


def tensor_of(output: Any, name: str) -> Tensor:
    """The tensor in what a module returned.

    A tensor is itself. A mapping or an object with named fields (the outputs of transformers) gives ``logits``, else
    ``last_hidden_state``, else ``out`` (segmentation networks), else its only tensor. Any other tuple or list gives its
    first entry (attention returns ``(output, weights)``).

    Args:
        output: what the module's forward returned.
        name: the layer, for the message.

    Raises:
        ShapeError: there is no tensor, or more than one and no rule that picks.
    """
    return _picked(output, f"Layer '{name}'", "Choose a module inside it that returns one tensor.")[0]


def logits_of(output: Any, name: str, *, batch: int | None = None) -> Float[Tensor, "batch ..."]:
    """The logits in what a network returned, by the rule of :func:`tensor_of`.

    Args:
        output: what the network's forward returned.
        name: whose it is, for the message: ``the student``.
        batch: how many samples it was given, if known.

    Raises:
        ShapeError: there is no tensor, no rule that picks one, or what it picks has not a row for each sample.
    """
    remedy = "Wrap it in a module whose forward returns its logits."
    logits, picked = _picked(output, name[:1].upper() + name[1:], remedy)
    if batch is not None and (logits.ndim == 0 or logits.shape[0] != batch):
        raise ShapeError(
            f"The logits of {name}{f' ({picked})' if picked else ''} are {list(logits.shape)}, and the batch has "
            f"{batch} samples: there is no row for each. {remedy}"
        )
    return logits


def picked_of(output: Any, name: str) -> str:
    """Which part of what a network returned is taken for its logits, in words; empty where that is all there is."""
    return _picked(output, name, "")[1]


def _picked(output: Any, who: str, remedy: str) -> tuple[Tensor, str]:
    if isinstance(output, Tensor):
        return output, ""
    for field in _PREFERRED:
        value = output.get(field) if isinstance(output, Mapping) else getattr(output, field, None)
        if isinstance(value, Tensor):
            return value, f"{field!r} of {_kind(output)}"
    if isinstance(output, Mapping):
        tensors = {key: value for key, value in output.items() if isinstance(value, Tensor)}
        if len(tensors) == 1:
            ((key, value),) = tensors.items()
            return value, f"{key!r} of {_kind(output)}"
        raise ShapeError(
            f"{who} returns {len(tensors)} tensors ({', '.join(map(str, output))}), and none of them is "
            f"named {' or '.join(_PREFERRED)}. {remedy}"
        )
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        return output[0], f"the first of {len(output)} in {_kind(output)}"
    raise ShapeError(f"{who} returns {type(output).__name__}, which holds no tensor to read. {remedy}")


def _kind(output: Any) -> str:
    name = type(output).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def layout_of(shape: torch.Size, image: tuple[int, int] | None) -> Layout:
    """Which layout a map or volume has, judged by which two sides keep the image's aspect ratio.

    Channel-first if the last two sides fit the image's ratio to within a cell, channel-last if only the two before the
    last do, and channel-first, torch's habit, if neither pair fits. So ``[N, 7, 7, 768]`` of a square image is
    channel-last, and ``[N, 8, 8, 8]`` is channel-first.

    Args:
        shape: ``[N, a, b, c]`` or ``[N, a, b, c, d]``.
        image: height and width of the network's input; None (taken as square) where the input is no image.
    """
    if keeps_ratio(shape[-2], shape[-1], image or (1, 1)):
        return "channels_first"
    return "channels_last" if keeps_ratio(shape[-3], shape[-2], image or (1, 1)) else "channels_first"


def image_of(given: Iterable[Tensor]) -> tuple[int, int] | None:
    """Height and width of the first image, or volume of images, among what a network is given."""
    first = next((x for x in given if x.ndim in (4, 5)), None)
    return None if first is None else (first.shape[-2], first.shape[-1])


def as_features(
    x: Tensor,
    name: str,
    *,
    image: tuple[int, int] | None = None,
    batch: int | None = None,
    layout: Layout | None = None,
) -> Float[Tensor, "batch ..."]:
    """A layer's output as ``[N, D]``, ``[N, T, D]``, ``[N, C, H, W]`` or ``[N, C, D, H, W]``.

    A channel-last map or volume becomes channel-first; a signal ``[N, C, L]`` becomes a sequence of L tokens.

    Args:
        x: the output.
        name: the layer, for the message.
        image: height and width of the network's input, which tells the layouts apart (see ``layout_of``).
        batch: samples in the network's input, if known.
        layout: of a map or volume, overrides what ``layout_of`` would say; of three dimensions, tokens if left out.

    Raises:
        ShapeError: another number of dimensions, another first dimension than the batch, or no real numbers.
    """
    if not x.is_floating_point():
        raise ShapeError(f"Layer '{name}' returns {x.dtype}; a layer to transfer or compare must return real numbers.")
    if x.ndim not in (2, 3, 4, 5):
        raise ShapeError(
            f"Layer '{name}' returns {tuple(x.shape)}. Layers that can be used return [N, D], [N, T, D], [N, C, H, W] "
            "or [N, C, D, H, W]. Choose a module before or after it."
        )
    if batch is not None and x.shape[0] != batch:
        raise ShapeError(
            f"Layer '{name}' returns {tuple(x.shape)}, whose first side is not the batch of {batch} (windows or time "
            "come first inside some modules). Choose the module around it."
        )
    if x.ndim == 3:
        return x.mT if layout == "channels_first" else x
    if x.ndim > 3 and (layout or layout_of(x.shape, image)) == "channels_last":
        return x.movedim(-1, 1)
    return x


def keeps_ratio(height: int, width: int, image: tuple[int, int]) -> bool:
    """Whether a grid has the image's aspect ratio: strides round up or down, so a side may be off by under a cell."""
    return abs(height - width * image[0] / image[1]) < 1 and abs(width - height * image[1] / image[0]) < 1
