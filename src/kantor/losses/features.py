"""Layer outputs brought to common forms: pooled vectors, rows over positions, maps on one grid."""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ShapeError


def pool(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch dim"]:
    """A layer's output averaged over positions: ``[N, D]`` as is, ``[N, C, H, W]`` and ``[N, T, D]`` to ``[N, C|D]``.

    Raises:
        ShapeError: the output has another number of dimensions.
    """
    if x.ndim == 2:
        return x
    if x.ndim == 4:
        return x.mean(dim=(2, 3))
    if x.ndim == 3:
        return x.mean(dim=1)
    raise ShapeError(f"A layer's output is [N, D], [N, C, H, W] or [N, T, D]; this one is {tuple(x.shape)}.")


def as_map(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch channels height width"]:
    """A layer's output as a channel-first map: tokens fill a square grid once the leading class tokens are dropped.

    Raises:
        ShapeError: the output has no positions, or its tokens fill no square grid.
    """
    if x.ndim == 4:
        return x
    if x.ndim == 3:
        side = math.isqrt(x.shape[1])
        # What stands before the patches: nothing, a class token, DeiT's two, or a class token and four registers.
        if side > 0 and x.shape[1] - side * side in (0, 1, 2, 5):
            patches = x[:, x.shape[1] - side * side :]
            return patches.transpose(1, 2).reshape(x.shape[0], x.shape[2], side, side)
    raise ShapeError(f"Positions are asked of a layer whose output {tuple(x.shape)} has no map or square token grid.")


def common_grid(
    student: Float[Tensor, "batch ..."], teacher: Float[Tensor, "batch ..."]
) -> tuple[Float[Tensor, "batch student_channels h w"], Float[Tensor, "batch teacher_channels h w"]]:
    """Both layers as maps, the finer one averaged down to the coarser one's grid."""
    s, t = as_map(student), as_map(teacher)
    grid = (min(s.shape[2], t.shape[2]), min(s.shape[3], t.shape[3]))
    return (
        s if s.shape[2:] == grid else F.adaptive_avg_pool2d(s, grid),
        t if t.shape[2:] == grid else F.adaptive_avg_pool2d(t, grid),
    )
