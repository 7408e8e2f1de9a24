"""PKT: match the probability that samples are neighbours (Passalis & Tefas, arXiv 1803.10837)."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.collectives import gather_rows
from kantor.losses.base import TransferLoss
from kantor.losses.checks import same_samples
from kantor.losses.masks import single_mask, zeroed
from kantor.losses.precision import transfer
from kantor.losses.stages import single

_EPS = 1e-7


@transfer
def pkt(student: Float[Tensor, "batch ..."], teacher: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
    """``mean over i, j of t_ij log(t_ij / s_ij)``, rows of s and t the similarities of sample i that sum to one.

    The similarity of two samples is (cosine + 1) / 2. As in the authors' code, the sum runs over all j with j = i
    (the paper leaves it out), and the mean divides by batch^2, hence the large weight; 1e-7 is added to norms and
    inside the logarithm. A sample of norm zero has a finite gradient here, where the public code gives NaN.

    Args:
        student: outputs of the student, flattened per sample.
        teacher: outputs of the teacher for the same samples; its width may differ.

    Raises:
        ShapeError: the samples differ, or are fewer than two.
    """
    same_samples("pkt", student, teacher, least=2)
    s, t = _neighbours(student.flatten(1)), _neighbours(teacher.flatten(1))
    return (t * ((t + _EPS) / (s + _EPS)).log()).mean()


def _neighbours(x: Float[Tensor, "n dim"]) -> Float[Tensor, "n n"]:
    unit = x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + _EPS)
    similarity = (unit @ unit.T + 1) / 2
    return similarity / similarity.sum(1, keepdim=True)


class PKT(TransferLoss):
    """:func:`pkt` with weight 30000 (RepDistiller's and mdistiller's), of the global batch."""

    name: ClassVar = "pkt"
    paper: ClassVar = "arXiv 1803.10837"
    default_weight: ClassVar = 30000.0
    reads: ClassVar = "penultimate"
    takes_mask = True

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`pkt`."""
        s = zeroed(single(student), single_mask(student_mask))
        t = zeroed(single(teacher), single_mask(teacher_mask))
        return pkt(gather_rows(s.flatten(1)), gather_rows(t.flatten(1)))
