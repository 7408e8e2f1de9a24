"""RKD: match the distances and angles between the samples of a batch (Park et al., arXiv 1904.05068)."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.collectives import gather_rows
from kantor.losses.base import TransferLoss
from kantor.losses.checks import same_samples
from kantor.losses.masks import single_mask, zeroed
from kantor.losses.precision import transfer
from kantor.losses.settings import not_negative
from kantor.losses.stages import single

# Below this a squared distance is rounding: its square root would have a gradient as large as noise makes it.
_SMALLEST = 1e-12


@transfer
def rkd(
    student: Float[Tensor, "batch ..."],
    teacher: Float[Tensor, "batch ..."],
    *,
    distance_weight: float = 25.0,
    angle_weight: float = 50.0,
) -> Float[Tensor, ""]:
    """``distance_weight * smooth_l1(d_s, d_t) + angle_weight * smooth_l1(a_s, a_t)``, means over pairs and triples.

    d_ij is the Euclidean distance of samples i and j divided by the mean of the positive distances; a_ijk the
    cosine of the angle at sample i between j and k. Both means include the zeros of equal indices, as
    RepDistiller and mdistiller do. Memory grows with batch^2 (batch + dim).

    Args:
        student: outputs of the student, flattened per sample.
        teacher: outputs of the teacher; its width may differ.
        distance_weight: 25, the public code's.
        angle_weight: 50, the public code's; the paper's ratio is 1 to 2.

    Raises:
        ShapeError: the samples differ, or are fewer than two.
    """
    same_samples("rkd", student, teacher, least=2)
    s, t = student.flatten(1), teacher.flatten(1)
    distances = F.smooth_l1_loss(_relative_distances(s), _relative_distances(t))
    angles = F.smooth_l1_loss(_angles(s), _angles(t))
    return distance_weight * distances + angle_weight * angles


def _relative_distances(x: Float[Tensor, "n dim"]) -> Float[Tensor, "n n"]:
    squares = x.pow(2).sum(1)
    d = (squares[:, None] + squares[None, :] - 2 * x @ x.T).clamp(min=_SMALLEST).sqrt()
    d = d.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), 0.0)
    return d / (d.sum() / (d > 0).sum())


def _angles(x: Float[Tensor, "n dim"]) -> Float[Tensor, "n n n"]:
    directions = F.normalize(x[None, :, :] - x[:, None, :], dim=2)
    return directions @ directions.transpose(1, 2)


class RKD(TransferLoss):
    """:func:`rkd` with weight 1, of the global batch under several processes. Padding counts as zeros."""

    name: ClassVar = "rkd"
    paper: ClassVar = "arXiv 1904.05068"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "penultimate"
    takes_mask = True

    def __init__(self, distance_weight: float = 25.0, angle_weight: float = 50.0) -> None:
        super().__init__()
        not_negative(self.name, distance_weight=distance_weight, angle_weight=angle_weight)
        self.distance_weight, self.angle_weight = distance_weight, angle_weight

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`rkd`."""
        return rkd(
            gather_rows(zeroed(single(student), single_mask(student_mask)).flatten(1)),
            gather_rows(zeroed(single(teacher), single_mask(teacher_mask)).flatten(1)),
            distance_weight=self.distance_weight,
            angle_weight=self.angle_weight,
        )

    def settings(self) -> dict[str, Any]:
        """Both weights."""
        return {"distance_weight": self.distance_weight, "angle_weight": self.angle_weight}
