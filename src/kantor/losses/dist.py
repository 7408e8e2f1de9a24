"""DIST: match predictions up to scale and shift, by rows and by columns (Huang et al., arXiv 2205.10536)."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.collectives import gather_rows
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import classes, enough
from kantor.losses.precision import transfer
from kantor.losses.settings import not_negative, positive
from kantor.losses.stages import single

_EPS = 1e-8
_OTHERS = "neuron_transport, wcord or another feature loss"


@transfer
def dist(
    student: Float[Tensor, "batch classes"],
    teacher: Float[Tensor, "batch classes"],
    *,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """``T^2 (inter_weight * (1 - mean row correlation) + intra_weight * (1 - mean column correlation))``.

    Pearson's correlation between softmax(student / T) and softmax(teacher / T): within each sample over the
    classes (inter-class), and within each class over the samples of the batch (intra-class).

    The factor T^2 is in the authors' classification code (hunto/image_classification_sota) and not in the paper;
    it is followed, and is 1 at the default temperature.

    Args:
        student: logits of the student.
        teacher: logits of the teacher for the same classes.
        inter_weight: beta of the paper.
        intra_weight: gamma of the paper.
        temperature: 1, as for ImageNet; the authors use 4 for CIFAR-100.

    Raises:
        ShapeError: the logits' shapes differ, or there is one sample, over which no class correlates.
    """
    classes("dist", student.shape, teacher.shape, _OTHERS, least=2)
    enough("dist", student, 2)
    s, t = (F.softmax(x / temperature, dim=1) for x in (student, teacher))
    inter, intra = 1 - _correlation(s, t).mean(), 1 - _correlation(s.T, t.T).mean()
    return temperature**2 * (inter_weight * inter + intra_weight * intra)


def _correlation(x: Float[Tensor, "rows n"], y: Float[Tensor, "rows n"]) -> Float[Tensor, " rows"]:
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    norms = torch.linalg.vector_norm(x, dim=1) * torch.linalg.vector_norm(y, dim=1)
    return (x * y).sum(1) / (norms + _EPS)


class DIST(TransferLoss):
    """:func:`dist` of the global batch with weight 2 (the authors' configurations; beta = gamma = 2 in the paper)."""

    name: ClassVar = "dist"
    paper: ClassVar = "arXiv 2205.10536"
    default_weight: ClassVar = 2.0
    reads: ClassVar = "logits"
    same_classes: ClassVar = True

    def __init__(self, inter_weight: float = 1.0, intra_weight: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        positive(self.name, temperature=temperature)
        not_negative(self.name, inter_weight=inter_weight, intra_weight=intra_weight)
        self.inter_weight, self.intra_weight, self.temperature = inter_weight, intra_weight, temperature

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that both have the same number of classes."""
        (s,), (t,) = student_shapes, teacher_shapes
        classes(self.name, s, t, _OTHERS)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`dist`."""
        return dist(
            gather_rows(single(student)),
            gather_rows(single(teacher)),
            inter_weight=self.inter_weight,
            intra_weight=self.intra_weight,
            temperature=self.temperature,
        )

    def settings(self) -> dict[str, Any]:
        """Both weights and the temperature."""
        return {
            "inter_weight": self.inter_weight,
            "intra_weight": self.intra_weight,
            "temperature": self.temperature,
        }
