"""WKD-F: a Wasserstein distance between Gaussians of the positions of a feature map (Lv et al., arXiv 2412.08139)."""

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import ShapeError
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.batch_norm import BatchNorm
from kantor.losses.checks import Shape, same_shape
from kantor.losses.features import common_grid
from kantor.losses.precision import transfer
from kantor.losses.settings import not_negative, positive
from kantor.losses.stages import paired_grids, single


@transfer
def wkd_feature(
    student: Float[Tensor, "batch channels h w"],
    teacher: Float[Tensor, "batch channels h w"],
    *,
    mean_weight: float = 4.0,
    cells: int = 1,
) -> Float[Tensor, ""]:
    """``mean over images and cells of [mean_weight * |mu_s - mu_t|^2 + |sigma_s - sigma_t|^2]``.

    mu and sigma are the mean and the standard deviation of each channel over the positions of a cell of an s x s grid;
    sigma is ``sqrt(variance + 1e-5)``, the variance unbiased. With mean weight 1 it is the squared 2-Wasserstein
    distance between two Gaussians of diagonal covariance. The sums run over channels.

    The paper's general form has full covariances; the public code, followed here, takes diagonal ones.

    Args:
        student: the student's map, already projected to the teacher's channels and grid.
        teacher: the teacher's map.
        mean_weight: the public code's ratio: 4 (CIFAR-100, ResNet-32x4 to 8x4), 3 (WRN-40-2 to ShuffleNet) or 2
            (ImageNet).
        cells: s; 1, 4 and 4 for these three.

    Raises:
        ShapeError: the maps have other shapes, or a cell holds a single position.
    """
    same_shape("wkd_feature", student, teacher, dims=(4,))
    _check_cells(cells, student.shape, teacher.shape)
    (s_mean, s_std), (t_mean, t_std) = _statistics(student, cells), _statistics(teacher, cells)
    squares = mean_weight * (s_mean - t_mean).square() + (s_std - t_std).square()
    return squares.sum(1).mean()


def _statistics(
    x: Tensor, cells: int
) -> tuple[Float[Tensor, "batch channels cells"], Float[Tensor, "batch channels cells"]]:
    rows, columns = (_windows(length, cells) for length in x.shape[2:])
    parts = [torch.var_mean(x[:, :, r, c].flatten(2), dim=2) for r in rows for c in columns]
    variance, mean = (torch.stack(part, dim=2) for part in zip(*parts, strict=True))
    return mean, (variance + 1e-5).sqrt()


def _check_cells(cells: int, student: Shape, teacher: Shape) -> None:
    positive("wkd_feature", cells=cells)
    grid = [min(lengths) for lengths in zip(student[2:], teacher[2:], strict=True)]
    if math.prod(math.ceil(length / cells) for length in grid) < 2:
        raise ShapeError(
            f"wkd_feature takes standard deviations over positions in {cells} x {cells} cells; the student's map "
            f"{tuple(student)} and the teacher's {tuple(teacher)} have too few. Set cells lower, or bind an earlier "
            "layer."
        )


def _windows(length: int, cells: int) -> list[slice]:
    """The windows of adaptive pooling, which overlap where the length does not divide."""
    return [slice(k * length // cells, math.ceil((k + 1) * length / cells)) for k in range(cells)]


class WKDFeature(TransferLoss):
    """:func:`wkd_feature` behind a learned projector: a 1x1 convolution, batch norm and ReLU, as for CIFAR in WKD.

    Weight and settings are those of ResNet-32x4 to 8x4 on CIFAR-100 (.08; .3 for WRN-40-2 to ShuffleNet, .02 and .005
    on ImageNet). Maps of other resolution are averaged to the coarser grid; the public code uses a convolution of
    matching stride. On ImageNet it projects through a bottleneck of three convolutions, which is not offered here.
    The projector's ReLU assumes features after a ReLU: ``activation=False`` drops it for teachers without.

    Args:
        mean_weight, cells: see :func:`wkd_feature`.
        activation: end the projector in a ReLU.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar = "wkd_feature"
    paper: ClassVar = "arXiv 2412.08139"
    default_weight: ClassVar = 0.08
    reads: ClassVar = "feature"
    by_position = True
    on_grid = True

    def __init__(self, mean_weight: float = 4.0, cells: int = 1, activation: bool = True) -> None:
        super().__init__()
        not_negative(self.name, mean_weight=mean_weight)
        positive(self.name, cells=cells)
        self.mean_weight = mean_weight
        self.cells = cells
        self.activation = activation

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make the projector from the student's channels to the teacher's.

        Raises:
            ShapeError: a layer has no positions, or a cell of the grid would hold fewer than two.
        """
        ((s, t),) = paired_grids(self.name, student_shapes, teacher_shapes)
        if self.cells > 1 and len(student_shapes[0]) == 5:
            raise ShapeError(
                f"wkd_feature cuts a map into {self.cells} x {self.cells} cells, and the student's layer "
                f"{tuple(student_shapes[0])} is a volume. Set cells to 1."
            )
        _check_cells(self.cells, s, t)
        self.projector = nn.Sequential(
            nn.Conv2d(s[1], t[1], 1), BatchNorm(t[1]), nn.ReLU() if self.activation else nn.Identity()
        )

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`wkd_feature`; ``student`` is projected first."""
        s, t = common_grid(single(student), single(teacher))
        value = wkd_feature(self.projector(s), t, mean_weight=self.mean_weight, cells=self.cells)
        return sum_over_ranks(value) / world_size()

    def settings(self) -> dict[str, Any]:
        """Weight of the means, grid, and whether the projector ends in a ReLU."""
        return {"mean_weight": self.mean_weight, "cells": self.cells, "activation": self.activation}
