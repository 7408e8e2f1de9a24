"""SP: samples similar to the teacher are similar to the student (Tung & Mori, arXiv 1907.09682)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.collectives import gather_rows
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import same_samples
from kantor.losses.masks import masked_stages, zeroed
from kantor.losses.precision import transfer
from kantor.losses.stages import paired


@transfer
def sp(student: Float[Tensor, "batch ..."], teacher: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
    """``||rownorm(S S^T) - rownorm(T T^T)||_F^2 / batch^2``, S and T the outputs flattened per sample.

    Every row of a similarity matrix is divided by its Euclidean norm. No widths or grids need agree, and the value
    does not change with the scale of either side or with an orthogonal map of its features.

    Args:
        student: outputs of the student.
        teacher: outputs of the teacher for the same samples.

    Raises:
        ShapeError: the samples differ, or are fewer than two.
    """
    same_samples("sp", student, teacher, least=2)
    return F.mse_loss(_similarities(student), _similarities(teacher))


def _similarities(x: Tensor) -> Float[Tensor, "n n"]:
    rows = x.flatten(1)
    return F.normalize(rows @ rows.T)


class SP(TransferLoss):
    """:func:`sp` with weight 3000 (RepDistiller's and mdistiller's), of the global batch; summed over layers.

    Padding counts as zeros, so it adds nothing to a similarity.
    """

    name: ClassVar = "sp"
    paper: ClassVar = "arXiv 1907.09682"
    default_weight: ClassVar = 3000.0
    reads: ClassVar = "feature"
    takes_mask = True

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that there are as many layers of one as of the other."""
        paired(self.name, student_shapes, teacher_shapes)

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`sp`."""
        stages = masked_stages(student, teacher, student_mask, teacher_mask)
        rows = [(zeroed(s, own).flatten(1), zeroed(t, their).flatten(1)) for s, t, own, their in stages]
        return torch.stack([sp(gather_rows(s), gather_rows(t)) for s, t in rows]).sum()
