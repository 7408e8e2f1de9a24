"""ReviewKD: deep features reviewed by shallow ones, matched at every level (Chen et al., arXiv 2104.09044)."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kantor.losses.base import Grid, Shapes, TransferLoss
from kantor.losses.batch_norm import BatchNorm
from kantor.losses.checks import same_shape
from kantor.losses.features import as_map, on_grid, pool
from kantor.losses.precision import transfer
from kantor.losses.settings import positive
from kantor.losses.stages import as_many, as_stages, check_positions_meet, map_shape, paired

_GRIDS = (4, 2, 1)


@transfer
def hierarchical_context(
    student: Float[Tensor, "batch channels h w"], teacher: Float[Tensor, "batch channels h w"]
) -> Float[Tensor, ""]:
    """``(mse + sum over k of 2^-k mse of both averaged to a grid) / (1 + sum of 2^-k)``, grids 4, 2, 1.

    Grids not coarser than the map are left out, and k counts those that are left. A sequence, a map of height 1, is
    averaged along its length alone.

    Args:
        student: the fused student map, projected to the teacher's shape.
        teacher: the teacher's map.

    Raises:
        ShapeError: the maps have other shapes.
    """
    same_shape("reviewkd", student, teacher, dims=(4,))
    total, weight, weights = F.mse_loss(student, teacher), 1.0, 1.0
    height, width = student.shape[2:]
    for cells in _GRIDS:
        if cells < (height if height > 1 else width):
            weight /= 2
            weights += weight
            grid = (cells if height > 1 else 1, cells)
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
    takes_grid = True

    def __init__(self, with_pooled: bool = True, max_width: int = 512) -> None:
        super().__init__()
        positive(self.name, max_width=max_width)
        self.with_pooled, self.max_width = with_pooled, max_width

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make a fusion block for every level."""
        pairs = paired(self.name, student_shapes, teacher_shapes)
        widths = [(_width(self.name, s, t, s), _width(self.name, s, t, t)) for s, t in pairs]
        if self.with_pooled:
            widths.append(widths[-1])
        width = min(self.max_width, widths[-1][0])
        self.blocks = nn.ModuleList(
            _Fusion(s, width, t, fuse=depth < len(widths) - 1) for depth, (s, t) in enumerate(widths)
        )

    def forward(self, student, teacher, *, targets=None, ids=None, student_grid=None, teacher_grid=None) -> Tensor:  # noqa: ARG002
        """See :func:`reviewkd`; tokens are a sequence where they have no grid."""
        s_levels, t_levels = _on_grids(as_stages(student), student_grid), _on_grids(as_stages(teacher), teacher_grid)
        for s, t in zip(s_levels, t_levels, strict=True):
            check_positions_meet(self.name, s.shape, t.shape)
        s_levels = self._levels(s_levels, as_stages(student)[-1])
        t_levels = self._levels(t_levels, as_stages(teacher)[-1])
        carried: Tensor | None = None
        fused = []
        for s, t, block in zip(reversed(s_levels), reversed(t_levels), reversed(self.blocks), strict=True):
            out, carried = block(s, carried, t.shape[2:])
            fused.append(out)
        return reviewkd(tuple(fused), tuple(reversed(t_levels)))

    def _levels(self, stages: list[Tensor], deepest: Tensor) -> list[Tensor]:
        levels = [x[:, :, None, None] if x.ndim == 2 else as_map(x) for x in stages]
        return [*levels, pool(deepest)[:, :, None, None]] if self.with_pooled else levels

    def settings(self) -> dict[str, Any]:
        """Whether the pooled deepest stage is a level, and the largest common width."""
        return {"with_pooled": self.with_pooled, "max_width": self.max_width}


def _on_grids(stages: tuple[Tensor, ...], grids: tuple[Grid, ...] | None) -> list[Tensor]:
    """Patches as the maps that they fill, all others as they are."""
    each = (None,) * len(stages) if grids is None else grids
    return [x if grid is None else on_grid(x, grid) for x, grid in zip(stages, each, strict=True)]


def _width(name: str, student: torch.Size, teacher: torch.Size, wanted: torch.Size) -> int:
    """Channels of one of a pair of layers, whatever its positions."""
    if len(wanted) == 5:
        return map_shape(name, student, teacher, wanted)[1]  # which refuses a volume
    return wanted[2] if len(wanted) == 3 else wanted[1]


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
