"""LCKT: WCoRD's local contrastive transfer, the primal form within a batch (arXiv 2012.08674, eq. 12-13)."""

from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from kantor import ot
from kantor.core.collectives import gather_rows, sum_over_ranks, world_size
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import same_width
from kantor.losses.embed import Embed, pooled_width
from kantor.losses.features import pool
from kantor.losses.precision import transfer
from kantor.losses.settings import positive
from kantor.losses.stages import single


@transfer
def lckt(
    student: Float[Tensor, "batch dim"], teacher: Float[Tensor, "others dim"], *, beta: float = 0.5, steps: int = 50
) -> Float[Tensor, ""]:
    """``min over plans of sum_ij P_ij (1 - cos(teacher_i, student_j))``, uniform masses, the plan held fixed.

    The samples of a batch are points; a student's sample may go to any teacher's sample, not its own alone. The
    gradient flows through the cost (envelope theorem; the paper detaches its loop too), and not to the teacher.

    The paper's algorithm 1 is headed Sinkhorn, but is the proximal point iteration IPOT, and is followed as that; its
    printed scaling counts the masses twice and is read as IPOT's. beta and the numbers of steps are not in the main
    text: .5, 50 outer and 1 inner are those of the first author's OT-Seq2Seq. A plan of 50 steps costs a little more
    than the optimum (.5 % for a cost of mean 1).

    Args:
        student: one row per sample.
        teacher: one row per sample, of the same width.
        beta: the proximal step, in the units of the cost, which is in [0, 2].
        steps: proximal steps.

    Returns:
        In [0, 2]; about 0 where both sides are the same set of directions.

    Raises:
        ShapeError: the rows have other widths, are no rows, or a set of one meets a larger one.
    """
    same_width("lckt", student, teacher, "The module LCKT embeds the student where widths differ.")
    return ot.Proximal(beta, steps)(ot.cost(teacher, student, "cosine")).cost


class LCKT(TransferLoss):
    """:func:`lckt` of pooled features, of the global batch.

    Equal widths are compared as they are. A student of another width goes through a learned linear embedding to the
    teacher's width, its length set to 1. The teacher is never embedded: two trained embeddings could agree by mapping
    everything to one point, since nothing here pushes samples apart.

    Args:
        beta, steps: see :func:`lckt`.
        per_rank: with several processes, solve on each process's own part of the batch and average.

    Raises:
        ConfigError: beta or steps is not positive.
    """

    name: ClassVar = "lckt"
    paper: ClassVar = "arXiv 2012.08674"
    default_weight: ClassVar = 0.05
    reads: ClassVar = "penultimate"
    pooled = True

    def __init__(self, beta: float = 0.5, steps: int = 50, per_rank: bool = False) -> None:
        super().__init__()
        positive(self.name, beta=beta, steps=steps)
        self.beta = beta
        self.steps = steps
        self.per_rank = per_rank

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make the student's embedding where the widths differ.

        Raises:
            ShapeError: a layer's output has no rows to compare.
        """
        (s,), (t,) = student_shapes, teacher_shapes
        mine, theirs = pooled_width(s, self.name), pooled_width(t, self.name)
        self.student_embedding: nn.Module = nn.Identity() if mine == theirs else Embed(mine, theirs)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`lckt`; ``student`` is pooled, and embedded where it has to be."""
        s, t = self.student_embedding(pool(single(student))), pool(single(teacher))
        return transported(s, t, self.beta, self.steps, self.per_rank)

    def settings(self) -> dict[str, Any]:
        """The proximal solver's, and whether each process solves its own problem."""
        return {"beta": self.beta, "steps": self.steps, "per_rank": self.per_rank}


def transported(
    student: Float[Tensor, "batch dim"], teacher: Float[Tensor, "others dim"], beta: float, steps: int, per_rank: bool
) -> Float[Tensor, ""]:
    """:func:`lckt` of the global batch, or the mean over processes of each one's own."""
    if per_rank:
        return sum_over_ranks(lckt(student, teacher, beta=beta, steps=steps)) / world_size()
    return lckt(gather_rows(student), gather_rows(teacher), beta=beta, steps=steps)
