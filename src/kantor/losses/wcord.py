"""WCoRD: Wasserstein contrastive representation distillation, both forms (Chen et al., CVPR 2021, arXiv 2012.08674)."""

import math
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import one_id_each
from kantor.losses.embed import DIM
from kantor.losses.gckt import GCKT, gckt
from kantor.losses.lckt import transported
from kantor.losses.precision import transfer
from kantor.losses.settings import positive
from kantor.losses.stages import single


@transfer
def wcord(
    student: Float[Tensor, "batch dim"],
    teacher: Float[Tensor, "batch dim"],
    positive: Float[Tensor, " pairs"],
    negative: Float[Tensor, "batch negatives"],
    kept: Bool[Tensor, "batch negatives"] | None = None,
    *,
    gckt_weight: float = 0.8,
    lckt_weight: float = 0.05,
    negative_weight: float = 1.0,
    beta: float = 0.5,
    steps: int = 50,
    per_rank: bool = False,
) -> Float[Tensor, ""]:
    """``gckt_weight * gckt + lckt_weight * lckt``, of embeddings and of what a critic says of their pairs.

    Args:
        student: embeddings of the student, for the primal form.
        teacher: embeddings of the teacher, which the primal form holds fixed.
        positive, negative, kept, negative_weight: see :func:`~kantor.losses.gckt.gckt`.
        gckt_weight: weight of the dual form.
        lckt_weight: weight of the primal form.
        beta, steps: see :func:`~kantor.losses.lckt.lckt`.
        per_rank: with several processes, solve the primal form on each process's own part of the batch and average.

    Raises:
        ShapeError: the embeddings are not rows of one width.
    """
    dual = gckt(positive, negative, kept, negative_weight=negative_weight)
    return gckt_weight * dual + lckt_weight * transported(student, teacher, beta, steps, per_rank)


class _Dual(GCKT):
    """The dual form, which speaks for the whole."""

    name: ClassVar = "wcord"


class WCoRD(TransferLoss):
    """:func:`wcord` of learned embeddings of the penultimate layer, to add to the task loss with weight 1.

    The paper's total (eq. 14) is ``CE - .8 L_GCKT + .05 L_LCKT`` with L_GCKT maximised; for privileged information it
    takes 1 and .07. Widths and tasks may differ: both layers are embedded in 128 numbers, and no class set is assumed.
    Both forms see the same embeddings. The primal form holds the teacher's fixed (in the paper it trains the student
    alone), so that it pulls the student's samples to the teacher's and does not shrink the two together.

    Args:
        gckt_weight: weight of :func:`~kantor.losses.gckt.gckt`.
        lckt_weight: weight of :func:`~kantor.losses.lckt.lckt`.
        negatives, negatives_per_anchor, negative_weight, momentum, dim, hidden: see :class:`~kantor.losses.gckt.GCKT`.
        beta, steps, per_rank: see :class:`~kantor.losses.lckt.LCKT`.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar = "wcord"
    paper: ClassVar = "arXiv 2012.08674"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "penultimate"
    needs_ids: ClassVar = True
    pooled = True

    def __init__(
        self,
        gckt_weight: float = 0.8,
        lckt_weight: float = 0.05,
        negatives: int = 256,
        negatives_per_anchor: int | None = None,
        negative_weight: float = 1.0,
        momentum: float = 0.5,
        dim: int = DIM,
        hidden: int = 128,
        beta: float = 0.5,
        steps: int = 50,
        per_rank: bool = False,
    ) -> None:
        super().__init__()
        if not (0 < gckt_weight < math.inf and 0 < lckt_weight < math.inf):
            raise ConfigError(
                f"wcord: both weights must be positive and finite, not {gckt_weight} and {lckt_weight}. "
                "gckt and lckt alone are methods of their own."
            )
        positive(self.name, beta=beta, steps=steps)
        self.gckt_weight = gckt_weight
        self.lckt_weight = lckt_weight
        self.beta = beta
        self.steps = steps
        self.per_rank = per_rank
        self.dual = _Dual(negatives, negatives_per_anchor, negative_weight, momentum, dim, hidden)

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:
        """Make embeddings, critic and memory: those of :class:`~kantor.losses.gckt.GCKT`."""
        self.dual.build(student_shapes, teacher_shapes, samples)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`wcord`."""
        ids = one_id_each(self.name, single(student), ids, len(self.dual.memory.seen))
        s, t = self.dual.embed(single(student), single(teacher))
        return wcord(
            s,
            t,
            *self.dual.scores(s, t, ids),
            gckt_weight=self.gckt_weight,
            lckt_weight=self.lckt_weight,
            negative_weight=self.dual.negative_weight,
            beta=self.beta,
            steps=self.steps,
            per_rank=self.per_rank,
        )

    def after_step(self) -> None:
        """Commit what the dual form keeps."""
        self.dual.after_step()

    def forget(self) -> None:
        """Drop what the dual form holds for :meth:`after_step`."""
        self.dual.forget()

    def settings(self) -> dict[str, Any]:
        """Both weights, and the settings of both forms."""
        return {
            "gckt_weight": self.gckt_weight,
            "lckt_weight": self.lckt_weight,
            **self.dual.settings(),
            "beta": self.beta,
            "steps": self.steps,
            "per_rank": self.per_rank,
        }
