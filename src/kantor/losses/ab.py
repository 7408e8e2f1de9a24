"""AB: match which neurons are active (Heo et al., arXiv 1811.03233)."""

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.errors import ShapeError
from kantor.losses.base import Shapes
from kantor.losses.batch_norm import BatchNorm
from kantor.losses.checks import same_shape
from kantor.losses.features import as_map
from kantor.losses.precision import transfer
from kantor.losses.pretraining import PretrainingLoss
from kantor.losses.settings import positive
from kantor.losses.stages import as_stages, paired_maps

# The public code's scale: 3/1000 of the sum over a sample's neurons.
_SCALE = 3e-3


@transfer
def ab(
    student: Float[Tensor, "batch channels h w"], teacher: Float[Tensor, "batch channels h w"], *, margin: float = 1.0
) -> Float[Tensor, ""]:
    """``3/1000 * mean over samples of the sum over neurons of a squared hinge``.

    Where the teacher's neuron is silent (<= 0) the hinge is max(0, student + margin), elsewhere
    max(0, margin - student): only on which side of the boundary a neuron lies counts, not how far. The factor is
    RepDistiller's; the sum over neurons makes the value grow with the map.

    Args:
        student: the student's map before its ReLU, connected to the teacher's shape.
        teacher: the teacher's map, before or after its ReLU (only signs are read).
        margin: 1 in the paper and the public code.

    Raises:
        ShapeError: the maps have other shapes.
    """
    same_shape("ab", student, teacher)
    silent = teacher <= 0
    hinge = torch.where(silent, student + margin, margin - student).clamp(min=0)
    hinge = hinge.masked_fill(teacher.isnan(), math.nan)  # whose side is not known
    return _SCALE * hinge.pow(2).sum() / student.shape[0]


class AB(PretrainingLoss):
    """:func:`ab` over the stages, stage k from the end weighted 2^-k, in a pretraining; then silent.

    Pretraining trains the student up to its last bound layer and the connectors; the task then trains the
    student alone, as in the paper and RepDistiller. ``joint=True`` keeps the term beside the task as well, and
    without :meth:`prepare` it is such a term too. A connector is nothing where shapes agree, else a convolution
    (3x3 of stride 2, transposed 4x4 of stride 2, or of the kernel that closes the gap) with batch norm.

    The public networks hand out their maps before the ReLU. Bind such layers where the student has modules for
    them; after a ReLU a student's neuron cannot go below the boundary, and its hinge stops at margin^2.
    """

    name: ClassVar = "ab"
    paper: ClassVar = "arXiv 1811.03233"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "stages"
    by_position = True
    on_grid = True
    trains_student: ClassVar = True

    def __init__(
        self,
        margin: float = 1.0,
        joint: bool = False,
        epochs: int = 30,
        lr: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
    ) -> None:
        super().__init__(epochs, lr, momentum, weight_decay)
        positive(self.name, margin=margin)
        self.margin, self.joint = margin, joint

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make the connectors."""
        maps = paired_maps(self.name, student_shapes, teacher_shapes)
        self.connectors = nn.ModuleList(_connector(s, t) for s, t in maps)

    def pretraining_loss(self, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Tensor:
        """The weighted sum over stages."""
        terms = []
        for depth, (s, t, connector) in enumerate(zip(student, teacher, self.connectors, strict=True), start=1):
            terms.append(ab(connector(as_map(s)), as_map(t), margin=self.margin) * 2.0 ** (depth - len(student)))
        return torch.stack(terms).sum()

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`ab`; zero once pretraining is done, unless ``joint``."""
        if self.prepared and not self.joint:
            return self.silence(as_stages(student))
        return self.pretraining_loss(as_stages(student), as_stages(teacher))

    def settings(self) -> dict[str, Any]:
        """The margin, whether it stays beside the task, and what pretraining is set to."""
        return {"margin": self.margin, "joint": self.joint, **super().settings()}


def _connector(student: torch.Size, teacher: torch.Size) -> nn.Module:
    (_, s_c, s_h, s_w), (_, t_c, t_h, t_w) = student, teacher
    if student[1:] == teacher[1:]:
        return nn.Identity()
    if (s_h, s_w) == (2 * t_h, 2 * t_w):
        convolution: nn.Module = nn.Conv2d(s_c, t_c, 3, stride=2, padding=1)
    elif (2 * s_h, 2 * s_w) == (t_h, t_w):
        convolution = nn.ConvTranspose2d(s_c, t_c, 4, stride=2, padding=1)
    elif s_h >= t_h and s_w >= t_w:
        convolution = nn.Conv2d(s_c, t_c, (1 + s_h - t_h, 1 + s_w - t_w))
    else:
        raise ShapeError(
            f"ab: no convolution takes the student's map {tuple(student)} to the teacher's {tuple(teacher)}: the "
            "student's must be at least as fine, or exactly half."
        )
    return nn.Sequential(convolution, BatchNorm(t_c))
