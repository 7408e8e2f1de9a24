"""VID: a Gaussian model of the teacher's map given the student's (Ahn et al., arXiv 1904.05835)."""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import same_shape
from kantor.losses.masks import as_cells, common_positions, fair, masked_stages
from kantor.losses.precision import transfer
from kantor.losses.stages import paired_grids


@transfer
def vid(
    mean: Float[Tensor, "batch channels h w"],
    teacher: Float[Tensor, "batch channels h w"],
    variance: Float[Tensor, " channels"],
) -> Float[Tensor, ""]:
    """``mean over everything of ((teacher - mean)^2 / variance + log variance) / 2``.

    The negative log-likelihood of the teacher's map under a Gaussian with one learned variance a channel, without
    its constant: an upper bound on minus the mutual information, up to the teacher's entropy.

    Args:
        mean: the teacher's map as predicted from the student's.
        teacher: the teacher's map.
        variance: positive.

    Raises:
        ShapeError: the maps have other shapes, or there are not as many variances as channels.
    """
    same_shape("vid", mean, teacher, dims=(4,))
    if variance.shape != mean.shape[1:2]:
        raise ShapeError(
            f"vid has one variance for each of the channels of {tuple(mean.shape)}; given are {tuple(variance.shape)}."
        )
    v = variance.view(1, -1, 1, 1)
    return 0.5 * ((teacher - mean).pow(2) / v + v.log()).mean()


class VID(TransferLoss):
    """:func:`vid` summed over the stages with weight 1.

    The mean comes from three 1x1 convolutions without bias and ReLU between them, the student's channels to the
    teacher's, as in RepDistiller and mdistiller. The variance is ``softplus(s) + 1e-5``, s a parameter per channel
    that starts at variance 5. mdistiller never gives s to the optimiser; RepDistiller and the paper do, and so does
    this. The finer map is averaged to the coarser grid.
    """

    name: ClassVar = "vid"
    paper: ClassVar = "arXiv 1904.05835"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "stages"
    by_position = True
    takes_mask = True
    on_grid = True

    def __init__(self, initial_variance: float = 5.0, floor: float = 1e-5) -> None:
        super().__init__()
        if not math.inf > initial_variance > floor > 0:
            raise ConfigError(f"vid: needs initial_variance > floor > 0, not {initial_variance} and {floor}.")
        self.initial_variance, self.floor = initial_variance, floor

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make a regressor and a variance for every stage."""
        pairs = paired_grids(self.name, student_shapes, teacher_shapes)
        self.regressors = nn.ModuleList(_regressor(s[1], t[1]) for s, t in pairs)
        start = math.log(math.expm1(self.initial_variance - self.floor))
        self.scales = nn.ParameterList(nn.Parameter(torch.full((t[1],), start)) for _, t in pairs)

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`vid`."""
        terms = []
        stages = masked_stages(student, teacher, student_mask, teacher_mask)
        for (s, t, own, their), regressor, scale in zip(stages, self.regressors, self.scales, strict=True):
            s_map, t_map, mask = common_positions(self.name, s, t, own, their)
            if mask is not None:
                s_map, t_map = as_cells(s_map, mask), as_cells(t_map, mask)
            terms.append(fair(vid(regressor(s_map), t_map, F.softplus(scale) + self.floor), mask))
        return torch.stack(terms).sum()

    def settings(self) -> dict[str, Any]:
        """Where the variance starts, and its floor."""
        return {"initial_variance": self.initial_variance, "floor": self.floor}


def _regressor(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 1, bias=False),
    )
