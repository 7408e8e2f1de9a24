"""GCKT: WCoRD's global contrastive transfer, the dual form of a Wasserstein distance (arXiv 2012.08674, eq. 10-11)."""

from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kantor.core.collectives import gather_rows, rank, sum_over_ranks, world_size
from kantor.core.errors import ShapeError
from kantor.losses.base import Shapes
from kantor.losses.checks import one_id_each, same_samples
from kantor.losses.critic import Critic
from kantor.losses.embed import DIM
from kantor.losses.memory_bank import MemoryBankLoss
from kantor.losses.settings import positive
from kantor.losses.stages import single


def gckt(
    positive: Float[Tensor, " pairs"],
    negative: Float[Tensor, "batch negatives"],
    kept: Bool[Tensor, "batch negatives"] | None = None,
    *,
    negative_weight: float = 1.0,
) -> Float[Tensor, ""]:
    """``-(mean g(positive pairs) - negative_weight * mean g(negative pairs))``, of critic scores.

    The paper maximises ``E_pos[g] - M E_neg[g]`` over student and critic with M > 1 negatives; here it is minimised,
    and M is 1 by default: with another weight a constant added to g changes the value, which a critic can exploit
    (ours has no last bias, so that it can do so only through its ReLU).

    Args:
        positive: scores of (teacher, student) pairs of the same sample.
        negative: scores of pairs of different samples.
        kept: which of the negatives count; all where left out.
        negative_weight: the paper's M.

    Returns:
        In [-sqrt(8), sqrt(8)] for embeddings of length 1 and a negative weight of 1. Of the global batch.
    """
    for name, scores in (("positive", positive), ("negative", negative)):
        if not scores.is_floating_point():
            raise ShapeError(f"gckt: {name} scores are floating-point numbers, not {scores.dtype}.")
    counted = torch.ones_like(negative) if kept is None else kept.to(negative.dtype).expand_as(negative)
    sums = sum_over_ranks(torch.stack([positive.sum(), (negative * counted).sum()]))
    counts = sum_over_ranks(torch.stack([torch.ones_like(positive).sum(), counted.sum()]))
    means = sums / counts.clamp_min(1.0)
    return negative_weight * means[1] - means[0]


class GCKT(MemoryBankLoss):
    """:func:`gckt` of learned embeddings of both layers, with negatives from a memory of every training sample.

    Both layers are embedded in 128 numbers of length 1 (:class:`~kantor.losses.embed.Embed`) and scored in pairs by a
    1-Lipschitz critic (:class:`~kantor.losses.critic.Critic`). Student, embeddings and critic minimise the same
    scalar. A student's sample meets the memory's teacher embeddings, a teacher's sample its student embeddings: of the
    same sample and of others, and the means are over both kinds. Positive pairs are read from the memory too, as in the
    public code of CRD: it lags behind, and a critic that sees fresh pairs beside lagging ones tells them by that, and
    the student learns to run from its past. The negatives of a batch are ids drawn once for all its samples, among the
    samples seen so far; a sample's own id is left out. A batch with a sample that the memory has not seen, so each of
    the first epoch, is contrasted with itself.

    The paper's main text gives neither critic nor embedding, number of negatives or momentum: these are ours, or
    those of CRD's public code, on which the authors built.

    Memory: ``2 x samples x 128`` floats (51 MB for 50,000 samples); with ``negatives_per_anchor`` another
    ``4 x batch x negatives x 128`` in a step.

    Args:
        negatives: ids drawn for a batch.
        negatives_per_anchor: instead, ids drawn for each sample of the batch, as in CRD; dearer by the batch size.
        negative_weight: see :func:`gckt`.
        momentum: of the memory.
        dim: numbers per embedding.
        hidden: units of the critic.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar = "gckt"
    paper: ClassVar = "arXiv 2012.08674"
    default_weight: ClassVar = 0.8

    def __init__(
        self,
        negatives: int = 256,
        negatives_per_anchor: int | None = None,
        negative_weight: float = 1.0,
        momentum: float = 0.5,
        dim: int = DIM,
        hidden: int = 128,
    ) -> None:
        super().__init__(negatives, negatives_per_anchor, momentum, dim)
        positive(self.name, hidden=hidden, negative_weight=negative_weight)
        self.negative_weight = negative_weight
        self.hidden = hidden

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:
        """Make embeddings, critic and memory.

        Raises:
            ConfigError: there are no ids.
            ShapeError: a layer's output has no rows to embed.
        """
        self.make_embeddings(student_shapes, teacher_shapes)
        self.critic = Critic(self.dim, self.hidden)
        self.make_memory(samples)

    def embed(
        self, student: Float[Tensor, "batch ..."], teacher: Float[Tensor, "batch ..."]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch dim"]]:
        """Both layers' outputs on the unit sphere. The teacher's output is detached, not its embedding."""
        same_samples(self.name, student, teacher)
        return self.student_embedding(student), self.teacher_embedding(teacher)

    def scores(
        self, student: Float[Tensor, "batch dim"], teacher: Float[Tensor, "batch dim"], ids: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, " pairs"], Float[Tensor, "batch negatives"], Bool[Tensor, "batch negatives"]]:
        """The critic's, of positive pairs and of negative ones, against the memory; and which of the latter count."""
        drawn = self.memory.hold(ids, student, teacher)
        if self.memory.seen[drawn].all():
            drawn = self._draw(ids.shape[0])
            own_student, own_teacher = self.memory.student[ids], self.memory.teacher[ids]
            other_student, other_teacher = self.memory.student[drawn], self.memory.teacher[drawn]
        else:
            own_student, own_teacher = student, teacher
            other_student, other_teacher = gather_rows(student), gather_rows(teacher)
        score = self.critic.normalised()
        positive = torch.cat([score(own_teacher, student), score(teacher, own_student)])
        if drawn.ndim == 1:
            negative = [score.crossed(other_teacher, student).mT, score.crossed(teacher, other_student)]
        else:
            negative = [score(other_teacher, student.unsqueeze(1)), score(teacher.unsqueeze(1), other_student)]
        negative = torch.cat(negative, dim=1)
        of_others = torch.ne(drawn, ids.unsqueeze(1)).repeat(1, 2)
        return positive, negative, of_others

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`gckt`.

        Raises:
            ConfigError: no ids are given.
        """
        student = single(student)
        ids = one_id_each(self.name, student, ids, len(self.memory.seen))
        scores = self.scores(*self.embed(student, single(teacher)), ids)
        return gckt(*scores, negative_weight=self.negative_weight)

    def settings(self) -> dict[str, Any]:
        """Negatives, their weight, momentum and sizes."""
        return {
            "negatives": self.negatives,
            "negatives_per_anchor": self.negatives_per_anchor,
            "negative_weight": self.negative_weight,
            "momentum": self.momentum,
            "dim": self.dim,
            "hidden": self.hidden,
        }

    def _draw(self, anchors: int) -> Int[Tensor, "*anchors negatives"]:
        seen = self.memory.seen.nonzero().squeeze(1)
        if self.negatives_per_anchor is None:
            shape, mine = (self.negatives,), slice(None)
        else:
            # Drawn for the global batch, whose samples are dealt to the processes in turn.
            shape, mine = (anchors * world_size(), self.negatives_per_anchor), slice(rank(), None, world_size())
        uniform = torch.rand(shape, generator=self.draws.generator(), dtype=torch.float64)[mine]
        return seen[(uniform * seen.numel()).long().to(seen.device)]
