"""FitNet: regress the teacher's feature map from the student's (Romero et al., arXiv 1412.6550)."""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.batch_norm import BatchNorm
from kantor.losses.checks import same_shape
from kantor.losses.masks import as_cells, common_positions, fair
from kantor.losses.precision import transfer
from kantor.losses.stages import paired_grids, single


@transfer
def fitnet(student: Float[Tensor, "batch ..."], teacher: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
    """Mean squared difference of two outputs of equal shape, over samples, channels and positions.

    Args:
        student: the student's output, already projected to the teacher's shape.
        teacher: the teacher's output.

    Raises:
        ShapeError: the shapes differ.
    """
    same_shape("fitnet", student, teacher)
    return F.mse_loss(student, teacher)


class FitNet(TransferLoss):
    """:func:`fitnet` behind a learned projector: a 1x1 convolution with batch norm and ReLU, as in RepDistiller.

    Vectors are projected by a linear layer with batch norm and ReLU. Maps of different resolution are averaged to
    the coarser grid, as the public code of later methods does; the paper uses a convolution of matching stride.
    The projector's ReLU assumes features after a ReLU: ``activation=False`` drops it for teachers without.
    """

    name: ClassVar = "fitnet"
    paper: ClassVar = "arXiv 1412.6550"
    default_weight: ClassVar = 100.0
    reads: ClassVar = "feature"
    by_position = True
    takes_mask = True
    on_grid = True

    def __init__(self, activation: bool = True) -> None:
        super().__init__()
        self.activation = activation

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make the projector from the student's channels to the teacher's."""
        (s,), (t,) = student_shapes, teacher_shapes
        if len(s) > 2 or len(t) > 2:
            ((s, t),) = paired_grids(self.name, student_shapes, teacher_shapes)
        last: list[nn.Module] = [nn.ReLU()] if self.activation else []
        if len(s) == 2 and len(t) == 2:
            self.projector = nn.Sequential(nn.Linear(s[1], t[1], bias=False), BatchNorm(t[1]), *last)
        else:
            self.projector = nn.Sequential(nn.Conv2d(s[1], t[1], 1, bias=False), BatchNorm(t[1]), *last)

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`fitnet`; ``student`` is projected first."""
        student, teacher = single(student), single(teacher)
        if student.ndim == teacher.ndim == 2:
            return fitnet(self.projector(student), teacher)
        s, t, mask = common_positions(self.name, student, teacher, student_mask, teacher_mask)
        if mask is None:
            return fitnet(self.projector(s), t)
        return fair(fitnet(self.projector(as_cells(s, mask)), as_cells(t, mask)), mask)

    def settings(self) -> dict[str, bool]:
        """Whether the projector ends in a ReLU."""
        return {"activation": self.activation}
