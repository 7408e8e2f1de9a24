"""Layer outputs brought to common forms: pooled vectors, rows over positions, maps on one grid."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from kantor.capture.masks import Meaning
from kantor.capture.positions import placed
from kantor.core.errors import ShapeError
from kantor.core.inputs import Inputs


def pool(x: Float[Tensor, "batch ..."], mask: Bool[Tensor, "batch tokens"] | None = None) -> Float[Tensor, "batch dim"]:
    """A layer's output averaged over positions: ``[N, D]`` as is, all others to ``[N, C|D]``.

    Args:
        x: ``[N, D]``, ``[N, T, D]``, ``[N, C, H, W]`` or ``[N, C, D, H, W]``.
        mask: of tokens, those that count; a sample without any has mean 0.

    Raises:
        ShapeError: the output has another number of dimensions, or the mask is not that of its tokens.
    """
    if mask is not None:
        return _pool_kept(x, mask)
    if x.ndim == 2:
        return x
    if x.ndim in (4, 5):
        return x.mean(dim=tuple(range(2, x.ndim)))
    if x.ndim == 3:
        return x.mean(dim=1)
    raise ShapeError(
        f"A layer's output is [N, D], [N, T, D], [N, C, H, W] or [N, C, D, H, W]; this one is {tuple(x.shape)}."
    )


def pool_without_padding(
    x: Float[Tensor, "batch ..."],
    inputs: Inputs,
    layer: str = "",
    meanings: Mapping[str, Meaning] = MappingProxyType({}),
) -> Float[Tensor, "batch dim"]:
    """A layer's output averaged over positions, without tokens that the inputs call padding.

    Args:
        x: the output.
        inputs: what its network was given.
        layer: its path; see :func:`kantor.capture.positions.placed`, as for ``meanings``.
        meanings: of masks of other names.
    """
    return pool(x, placed(x, inputs, layer, meanings).mask)


def as_map(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch channels height width"]:
    """A layer's output as a channel-first map: tokens are a sequence, of height 1.

    Patches of an image come on their grid, from :func:`on_grid`: their number does not say how they lie.

    Raises:
        ShapeError: the output has no positions, or it is a volume.
    """
    if x.ndim == 4:
        return x
    if x.ndim == 3:
        return on_grid(x, (1, x.shape[1]))
    kind = "is a volume, and maps of one plane are compared" if x.ndim == 5 else "has none"
    raise ShapeError(f"Positions are asked of a layer whose output {tuple(x.shape)} {kind}.")


def on_grid(
    tokens: Float[Tensor, "batch tokens dim"], grid: tuple[int, int]
) -> Float[Tensor, "batch dim height width"]:
    """The last ``height * width`` tokens as the map that they fill."""
    cells = grid[0] * grid[1]
    return tokens[:, tokens.shape[1] - cells :].transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *grid)


def common_grid(
    student: Float[Tensor, "batch ..."], teacher: Float[Tensor, "batch ..."]
) -> tuple[Float[Tensor, "batch student_channels h w"], Float[Tensor, "batch teacher_channels h w"]]:
    """Both layers as maps, the finer one averaged down to the coarser one's grid.

    A volume meets a volume, and each comes as a map of its planes ``[N, C, D, H * W]``.

    Raises:
        ShapeError: one has no positions, or one is a sequence or volume and the other is not.
    """
    if student.ndim == teacher.ndim == 5:
        s, t = _coarser(student, teacher)
        return s.flatten(3), t.flatten(3)
    refuse_sequence_beside_map(student.shape, teacher.shape)
    s, t = _coarser(as_map(student), as_map(teacher))
    return s, t


def refuse_sequence_beside_map(student: torch.Size, teacher: torch.Size) -> None:
    """Refuse places along a line beside places on a plane.

    Raises:
        ShapeError: one side is a sequence of tokens, and the other a map.
    """
    if {len(student), len(teacher)} == {3, 4}:
        raise ShapeError(
            f"{tuple(student)} and {tuple(teacher)} are a sequence and a map, which share no positions. "
            "Use a loss that averages over them first, such as neuron_transport; patches of an image lie on their grid "
            "where the network's input is that image (kantor.losses.features.on_grid does it by hand)."
        )


def _coarser(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    grid = torch.Size(map(min, student.shape[2:], teacher.shape[2:]))
    return _averaged(student, grid), _averaged(teacher, grid)


def _averaged(x: Tensor, grid: torch.Size) -> Tensor:
    if x.shape[2:] == grid:
        return x
    if len(grid) == 2:
        return F.adaptive_avg_pool2d(x, (grid[0], grid[1]))
    return F.adaptive_avg_pool3d(x, (grid[0], grid[1], grid[2]))


def channels_of(x: Float[Tensor, "batch ..."]) -> int:
    """Channels of a map or volume, dimensions of a token or vector."""
    return x.shape[2] if x.ndim == 3 else x.shape[1]


def positions_in(x: Float[Tensor, "batch ..."]) -> int:
    """How many positions a layer's output has: tokens, or cells of its map; none of vectors."""
    return x.shape[1] if x.ndim == 3 else math.prod(x.shape[2:]) if x.ndim > 3 else 0


def _pool_kept(x: Tensor, mask: Tensor) -> Tensor:
    if x.ndim != 3 or mask.shape != x.shape[:2]:
        raise ShapeError(f"The mask {tuple(mask.shape)} is not that of tokens [N, T, D]: they are {tuple(x.shape)}.")
    # Half precision would overflow in a sum that a mean keeps small.
    total = x.masked_fill(~mask.unsqueeze(2), 0).sum(1, dtype=torch.promote_types(x.dtype, torch.float32))
    return (total / mask.sum(1, keepdim=True).clamp_min(1)).to(x.dtype)
