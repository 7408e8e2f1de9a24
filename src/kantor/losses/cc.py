"""CC: correlation congruence between neighbouring samples of a batch (Peng et al., arXiv 1904.01802)."""

from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.collectives import gather_rows, world_size
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import same_samples, same_shape
from kantor.losses.precision import full_precision, transfer
from kantor.losses.settings import positive
from kantor.losses.stages import single


@transfer
def cc(student: Float[Tensor, "batch dim"], teacher: Float[Tensor, "batch teacher_dim"]) -> Float[Tensor, ""]:
    """``mean over i of sum over d of |delta_i,d| |delta_i+1,d|``, delta = student - teacher.

    Samples are paired with the next of the batch, in the batch's random order. This is the form the authors gave
    to RepDistiller; the paper instead compares all correlations of a batch through a Taylor-expanded Gaussian kernel.

    Args:
        student: embeddings of the student.
        teacher: embeddings of the teacher for the same samples, of the same width.

    Raises:
        ShapeError: fewer than two samples, or other shapes.
    """
    same_shape("cc", student, teacher, dims=(2,), least=2)
    return _congruence(student - teacher)


@full_precision
def _congruence(delta: Float[Tensor, "batch dim"]) -> Float[Tensor, ""]:
    delta = delta.abs()
    return (delta[:-1] * delta[1:]).sum(1).mean()


class CC(TransferLoss):
    """:func:`cc` of learned linear embeddings of both sides, with weight .02, of the global batch.

    Both embeddings are trained, as in RepDistiller (so they may also shrink; the small weight holds that in check).
    """

    name: ClassVar = "cc"
    paper: ClassVar = "arXiv 1904.01802"
    default_weight: ClassVar = 0.02
    reads: ClassVar = "penultimate"

    def __init__(self, dim: int = 128) -> None:
        super().__init__()
        positive(self.name, dim=dim)
        self.dim = dim

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make both embeddings."""
        (s,), (t,) = student_shapes, teacher_shapes
        self.student_embedding = nn.Linear(s[1:].numel(), self.dim)
        self.teacher_embedding = nn.Linear(t[1:].numel(), self.dim)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`cc`; both sides are flattened and embedded first."""
        same_samples(self.name, single(student), single(teacher), least=2 if world_size() == 1 else 1)
        s = self.student_embedding(single(student).flatten(1))
        t = self.teacher_embedding(single(teacher).flatten(1))
        return _congruence(_in_batch_order(s - t))

    def settings(self) -> dict[str, Any]:
        """The embeddings' width."""
        return {"dim": self.dim}


def _in_batch_order(x: Float[Tensor, "rows dim"]) -> Float[Tensor, "all_rows dim"]:
    # A global batch is dealt to ranks in turn; who is whose neighbour must not depend on their number.
    ranks = world_size()
    return gather_rows(x).unflatten(0, (ranks, -1)).transpose(0, 1).flatten(0, 1)
