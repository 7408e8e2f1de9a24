"""ReviewKD: deep features reviewed by shallow ones, matched at every level (Chen et al., arXiv 2104.09044)."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.batch_norm import BatchNorm
from kantor.losses.checks import same_shape
from kantor.losses.features import as_map, pool
from kantor.losses.precision import transfer
from kantor.losses.settings import positive
from kantor.losses.stages import as_many, as_stages, map_shape, paired

_GRIDS = (4, 2, 1)


@transfer
def hierarchical_context(
    student: Float[Tensor, "batch channels h w"], teacher: Float[Tensor, "batch channels h w"]
) -> Float[Tensor, ""]:
    """``(mse + sum over k of 2^-k mse of both averaged to a grid) / (1 + sum of 2^-k)``, grids 4, 2, 1.

    Grids not coarser than the map are left out, and k counts those that are left.

    Args:
        student: the fused student map, projected to the teacher's shape.
        teacher: the teacher's map.

    Raises:
        ShapeError: the maps have other shapes.
    """
    same_shape("reviewkd", student, teacher, dims=(4,))
    total, weight, weights = F.mse_loss(student, teacher), 1.0, 1.0
    for grid in _GRIDS:
        if grid < student.shape[2]:
            weight /= 2
            weights += weight
            total = total + weight * F.mse_loss(
                F.adaptive_avg_pool2d(student, grid), F.adaptive_avg_pool2d(teacher, grid)
            )
    return total / weights


@transfer
def reviewkd(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Float[Tensor, ""]:
    """The sum of :func:`hierarchical_context` over levels.

    Args:
        student: the fused student maps, each projected to the teacher's shape.
        teacher: the teacher's maps, level by level.

    Raises:
        ShapeError: the numbers of levels differ, there is none, or the maps of a level have other shapes.
    """
    return torch.stack([hierarchical_context(s, t) for s, t in as_many("reviewkd", student, teacher)]).sum()


class ReviewKD(TransferLoss):
    """:func:`reviewkd` of the student's levels, fused from deep to shallow.

    Every level of the student is brought to a common width, mixed with the deeper levels' result by learned
    attention, resized to the teacher's grid and projected to the teacher's channels (attention-based fusion). Levels
    are the bound stages and, with ``with_pooled``, the deepest stage averaged over positions, as in mdistiller.

    Weight 1 is mdistiller's default (5 for ResNet-32x4 -> ResNet-8x4), ramped linearly over the first 20 epochs: a
    weight schedule, not part of the loss. The public networks hand out the teacher's maps before the ReLU, the
    student's after it: bind such layers where the teacher has modules for them.
    """

    name: ClassVar = "reviewkd"
    paper: ClassVar = "arXiv 2104.09044"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "stages"

    def __init__(self, with_pooled: bool = True, max_width: int = 512) -> None:
        super().__init__()
        positive(self.name, max_width=max_width)
        self.with_pooled, self.max_width = with_pooled, max_width

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make a fusion block for every level."""
        pairs = paired(self.name, student_shapes, teacher_shapes)
        levels = [tuple(_level_shape(self.name, s, t, x) for x in (s, t)) for s, t in pairs]
        if self.with_pooled:
            levels.append(tuple(torch.Size([*shape[:2], 1, 1]) for shape in levels[-1]))
        width = min(self.max_width, levels[-1][0][1])
        self.blocks = nn.ModuleList(
            _Fusion(s[1], width, t[1], fuse=depth < len(levels) - 1) for depth, (s, t) in enumerate(levels)
        )

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`reviewkd`."""
        s_levels, t_levels = self._levels(as_stages(student)), self._levels(as_stages(teacher))
        carried: Tensor | None = None
        fused = []
        for s, t, block in zip(reversed(s_levels), reversed(t_levels), reversed(self.blocks), strict=True):
            out, carried = block(s, carried, t.shape[2:])
            fused.append(out)
        return reviewkd(tuple(fused), tuple(reversed(t_levels)))

    def _levels(self, stages: tuple[Tensor, ...]) -> list[Tensor]:
        levels = [_as_level(x) for x in stages]
        if self.with_pooled:
            levels.append(pool(stages[-1])[:, :, None, None])
        return levels

    def settings(self) -> dict[str, Any]:
        """Whether the pooled deepest stage is a level, and the largest common width."""
        return {"with_pooled": self.with_pooled, "max_width": self.max_width}


def _as_level(x: Tensor) -> Float[Tensor, "batch channels h w"]:
    return x[:, :, None, None] if x.ndim == 2 else as_map(x)


def _level_shape(name: str, student: torch.Size, teacher: torch.Size, wanted: torch.Size) -> torch.Size:
    return torch.Size([*wanted, 1, 1]) if len(wanted) == 2 else map_shape(name, student, teacher, wanted)


class _Fusion(nn.Module):
    """One level's attention-based fusion: narrow, mix with what comes from the deeper level, resize, project."""

    def __init__(self, inputs: int, width: int, outputs: int, *, fuse: bool) -> None:
        super().__init__()
        self.narrow = nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), BatchNorm(width))
        self.project = nn.Sequential(nn.Conv2d(width, outputs, 3, padding=1, bias=False), BatchNorm(outputs))
        self.attend = nn.Sequential(nn.Conv2d(2 * width, 2, 1), nn.Sigmoid()) if fuse else None
        for sequence in (self.narrow, self.project):
            nn.init.kaiming_uniform_(sequence[0].weight, a=1)  # type: ignore[arg-type]

    def forward(self, x: Tensor, deeper: Tensor | None, grid: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The level in the teacher's shape, and what the next shallower level mixes in."""
        x = self.narrow(x)
        if self.attend is not None and deeper is not None:
            deeper = F.interpolate(deeper, x.shape[2:], mode="nearest")
            share = self.attend(torch.cat([x, deeper], dim=1))
            x = x * share[:, :1] + deeper * share[:, 1:]
        if x.shape[2:] != grid:
            x = F.interpolate(x, tuple(grid), mode="nearest")
        return self.project(x), x
