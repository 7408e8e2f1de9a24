"""Positions that count: padding is left out of a comparison over positions."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import ShapeError
from kantor.losses.base import Features, Mask, Masks
from kantor.losses.features import common_grid, on_grid, positions_in, refuse_sequence_beside_map
from kantor.losses.stages import as_stages


def single_mask(masks: Masks) -> Mask:
    """The mask of a loss over one layer."""
    (mask,) = masks if isinstance(masks, tuple) else (masks,)
    return mask


def masked_stages(
    student: Features, teacher: Features, student_mask: Masks, teacher_mask: Masks
) -> list[tuple[Tensor, Tensor, Mask, Mask]]:
    """The layers pair by pair, each with its mask."""
    ours, theirs = as_stages(student), as_stages(teacher)
    masks = [mask if isinstance(mask, tuple) else (mask,) * len(ours) for mask in (student_mask, teacher_mask)]
    return list(zip(ours, theirs, *masks, strict=True))


def common_positions(
    name: str,
    student: Float[Tensor, "batch ..."],
    teacher: Float[Tensor, "batch ..."],
    student_mask: Mask,
    teacher_mask: Mask,
) -> tuple[
    Float[Tensor, "batch student_channels h w"],
    Float[Tensor, "batch teacher_channels h w"],
    Bool[Tensor, "batch positions"] | None,
]:
    """Both layers as maps on one grid, and which of its cells count on both sides; None where all do.

    With a mask the two must have the same positions, since cells that hold padding cannot be averaged to a coarser
    grid; tokens are a sequence then, and their map has a height of 1.

    Args:
        name: the loss that asks.
        student: its layer, tokens or a map.
        teacher: the same.
        student_mask: which of its positions count.
        teacher_mask: the same.

    Raises:
        ShapeError: an output has no positions, a sequence meets a map, or a mask is not that of both sides' positions.
    """
    mask = kept_on_both(name, student, teacher, student_mask, teacher_mask)
    refuse_sequence_beside_map(student.shape, teacher.shape)
    if mask is None:
        return *common_grid(student, teacher), None
    s, t = (on_grid(x, (1, x.shape[1])) if x.ndim == 3 else x for x in (student, teacher))
    return s, t, mask


def kept_on_both(
    name: str, student: Tensor, teacher: Tensor, student_mask: Mask, teacher_mask: Mask
) -> Bool[Tensor, "batch positions"] | None:
    """Which positions count on both sides; None where all do.

    Raises:
        ShapeError: a mask is not that of both sides' positions.
    """
    masks = [mask for mask in (student_mask, teacher_mask) if mask is not None]
    if not masks:
        return None
    counts = {positions_in(student), positions_in(teacher), *(mask.shape[1] for mask in masks)}
    if len(counts) > 1 or {len(student), len(teacher), *map(len, masks)} != {len(student)}:
        raise ShapeError(
            f"{name} compares position by position, padding left out: both sides must have the same positions. The "
            f"student's layer is {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}, the mask "
            f"{tuple(masks[0].shape)}. Give both the same tokens, or use a loss that averages over them first."
        )
    return masks[0] if len(masks) == 1 else masks[0] & masks[1]


def kept_rows(
    x: Float[Tensor, "batch channels h w"], mask: Bool[Tensor, "batch positions"]
) -> Float[Tensor, "rows channels"]:
    """The map's cells that count, each a row."""
    return x.flatten(2).mT[mask]


def as_cells(
    x: Float[Tensor, "batch channels h w"], mask: Bool[Tensor, "batch positions"]
) -> Float[Tensor, "rows channels 1 1"]:
    """The map's cells that count, each a map of its own, as 1x1 convolutions and batch norms want them."""
    return kept_rows(x, mask)[:, :, None, None]


def zeroed(x: Float[Tensor, "batch ..."], mask: Mask) -> Float[Tensor, "batch ..."]:
    """Tokens or a map with zeros where there is padding; as it is without a mask."""
    if mask is None:
        return x
    _refuse_other(x, mask)
    spread = mask.unsqueeze(2) if x.ndim == 3 else mask.reshape(len(x), 1, *x.shape[2:])
    return x.masked_fill(~spread, 0)


def kept_mean(x: Float[Tensor, "batch positions"], mask: Bool[Tensor, "batch positions"]) -> Float[Tensor, ""]:
    """The mean over positions that count; with several processes, so that their average is the global batch's."""
    return x.masked_fill(~mask, 0).sum() / fair_count(mask).to(x.dtype)


def fair(mean: Float[Tensor, ""], mask: Mask) -> Float[Tensor, ""]:
    """A mean over kept positions, weighted so that the average over processes is the global batch's mean."""
    if mask is None or world_size() == 1:
        return mean
    return mean * (mask.sum() / fair_count(mask)).to(mean.dtype)


def _refuse_other(x: Tensor, mask: Tensor) -> None:
    if mask.shape != (len(x), positions_in(x)):
        raise ShapeError(
            f"A mask is [batch, positions]: {tuple(mask.shape)} is not that of a layer's output {tuple(x.shape)}."
        )


def fair_count(mask: Bool[Tensor, "batch positions"]) -> Float[Tensor, ""]:
    """How many positions count, 1 at least; with several processes, so that the average over them of sums divided by it
    is the global batch's mean."""
    count = mask.sum().double()
    return (count if world_size() == 1 else sum_over_ranks(count) / world_size()).clamp_min(1)


def first_kept(x: Float[Tensor, "batch tokens dim"], mask: Mask) -> tuple[Tensor, Tensor | None]:
    """The tokens that count moved to the front, in order, and how many there are of each sample; all without a mask."""
    if mask is None:
        return x, None
    _refuse_other(x, mask)
    order = torch.argsort((~mask).int(), dim=1, stable=True)
    return x.gather(1, order.unsqueeze(2).expand_as(x)), mask.sum(1)
