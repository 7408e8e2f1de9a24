"""NST: match where neurons fire, as distributions of neurons (Huang & Wang, arXiv 1707.01219)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.losses.base import Mask, Shapes, TransferLoss
from kantor.losses.checks import check_maps
from kantor.losses.masks import common_positions, masked_stages, zeroed
from kantor.losses.precision import transfer
from kantor.losses.stages import paired_grids


@transfer
def nst(
    student: Float[Tensor, "batch ..."],
    teacher: Float[Tensor, "batch ..."],
    *,
    student_mask: Mask = None,
    teacher_mask: Mask = None,
) -> Float[Tensor, ""]:
    """``mean over samples of MMD^2`` between the neurons of both layers, kernel ``(x . y)^2``.

    A neuron is its map over positions, of unit length; MMD^2 = mean k(t, t) + mean k(s, s) - 2 mean k(s, t) over
    pairs of neurons. Zero when both sides have the same neurons in any order. The finer map is averaged to the
    coarser grid first; the numbers of channels may differ.

    Args:
        student: map ``[N, C, H, W]`` or tokens ``[N, T, D]``.
        teacher: the same.
        student_mask: positions of the student's that count, ``[N, positions]``; all where left out.
        teacher_mask: the same of the teacher's. With either, both sides must have the same positions.

    Raises:
        ShapeError: an output has no positions, or the samples differ.
    """
    check_maps("nst", student, teacher)
    s, t, mask = common_positions("nst", student, teacher, student_mask, teacher_mask)
    dtype = torch.promote_types(s.dtype, t.dtype)
    s, t = (F.normalize(zeroed(x, mask).flatten(2), dim=2).to(dtype) for x in (s, t))
    return _kernel(t, t) + _kernel(s, s) - 2 * _kernel(s, t)


def _kernel(x: Float[Tensor, "n a positions"], y: Float[Tensor, "n b positions"]) -> Float[Tensor, ""]:
    return (x @ y.transpose(1, 2)).pow(2).mean()


class NST(TransferLoss):
    """:func:`nst` summed over the stages with weight 50, RepDistiller's and mdistiller's.

    The paper also tries a linear and a Gaussian kernel; the polynomial one is what both public libraries use.
    """

    name: ClassVar = "nst"
    paper: ClassVar = "arXiv 1707.01219"
    default_weight: ClassVar = 50.0
    reads: ClassVar = "stages"
    by_position = True
    takes_mask = True
    on_grid = True

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that every layer has positions."""
        paired_grids(self.name, student_shapes, teacher_shapes)

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`nst`."""
        stages = masked_stages(student, teacher, student_mask, teacher_mask)
        return torch.stack([nst(s, t, student_mask=own, teacher_mask=their) for s, t, own, their in stages]).sum()
