"""CRD: contrastive representation distillation (Tian, Krishnan & Isola, ICLR 2020, arXiv 1910.10699)."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor.core.collectives import rank, sum_over_ranks, world_size
from kantor.core.errors import ShapeError
from kantor.losses.base import Shapes
from kantor.losses.checks import one_id_each, same_samples, same_shape
from kantor.losses.embed import DIM
from kantor.losses.memory_bank import MemoryBankLoss
from kantor.losses.precision import full_precision
from kantor.losses.settings import positive
from kantor.losses.stages import single


@full_precision
def nce(
    scores: Float[Tensor, "batch scored"], samples: int, counts: Int[Tensor, "batch others"] | None = None
) -> Float[Tensor, ""]:
    """``-mean over the batch of [log P_0 / (P_0 + K/N) + sum over k of log (K/N) / (P_k + K/N)]``.

    Noise-contrastive estimation of one side. ``P_0`` belongs to the sample itself, the others to K negatives.

    Args:
        scores: ``P = exp(cosine / temperature) / Z``, the sample's own first.
        samples: N. Z is N times a mean score, so that N cancels.
        counts: how often each negative was drawn, with K their sum; once where left out. A negative that was not
            drawn takes no part.

    Raises:
        ShapeError: there are not as many counts as negatives, the scores are no matrix, or samples no positive number.
    """
    if scores.ndim != 2 or not (isinstance(samples, int) and samples > 0):
        raise ShapeError(
            f"nce: scores are [batch, scored] and samples a positive number; given are {tuple(scores.shape)} and "
            f"{samples if isinstance(samples, int) else type(samples).__name__}."
        )
    own, others = scores[:, :1], scores[:, 1:]
    counts = torch.ones_like(others, dtype=torch.int64) if counts is None else counts
    if counts.shape != others.shape:
        raise ShapeError(
            f"nce: the scores {tuple(scores.shape)} are a sample's own and its negatives', and the counts "
            f"{tuple(counts.shape)} are not as many as negatives."
        )
    noise = counts.sum(1, keepdim=True).to(scores.dtype) / samples
    told = (own / (own + noise + 1e-7)).log()
    taken = noise.log() - (others + noise + 1e-7).log()
    rejected = torch.where(counts > 0, counts * taken, torch.zeros_like(taken))
    return -(told.squeeze(1) + rejected.sum(1)).mean()


def crd(
    student: Float[Tensor, "batch scored"],
    teacher: Float[Tensor, "batch scored"],
    samples: int,
    counts: Int[Tensor, "batch others"] | None = None,
) -> Float[Tensor, ""]:
    """:func:`nce` of both sides, added.

    Args:
        student: scores of the student's embeddings with the teacher's, a sample's own first.
        teacher: scores of the teacher's embeddings with the student's. (No output of a teacher: its embedding learns.)
        samples: see :func:`nce`.
        counts: see :func:`nce`.

    Raises:
        ShapeError: the two sides are not of one shape, or the counts are not those of the negatives.
    """
    same_shape("crd", student, teacher, dims=(2,))
    return nce(student, samples, counts) + nce(teacher, samples, counts)


class CRD(MemoryBankLoss):
    """:func:`crd`: student embeddings against the teacher's memory, and the reverse.

    Follows the public code (RepDistiller): linear embeddings to 128 numbers of length 1, memories with momentum .5,
    ``Z`` of each side set from the first step and kept. It differs in what is drawn. Negatives come from the rows of
    samples that training has shown, this batch's included; the public code takes every row for one, which is the same
    once all have been seen. They are drawn once for all samples of a batch, and a sample's own row is never its
    negative: so a step scores what it has drawn in one product. ``negatives_per_anchor`` draws for each sample, as the
    public code does. Memories are written after the optimiser's step, with the features of the forward pass, which
    gives the same numbers.

    Memory: ``2 x samples x 128`` floats (51 MB for 50,000 samples), and the scores of a step, at most ``batch x
    negatives``; with ``negatives_per_anchor`` also ``batch x samples`` or, where samples outnumber ``128 x negatives``,
    ``batch x negatives x 128``.

    Args:
        negatives: K, drawn for a batch.
        negatives_per_anchor: instead, K drawn for each sample of the batch.
        temperature: divides the cosine.
        momentum: of the memories.
        dim: numbers per embedding.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar = "crd"
    paper: ClassVar = "arXiv 1910.10699"
    default_weight: ClassVar = 0.8

    normalisers: Float[Tensor, "2"]
    """Z of the student's and of the teacher's scores; 0 before the first step."""

    def __init__(
        self,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        dim: int = DIM,
        negatives_per_anchor: int | None = None,
    ) -> None:
        super().__init__(negatives, negatives_per_anchor, momentum, dim)
        positive(self.name, temperature=temperature)
        self.temperature = temperature
        self._measured: list[Tensor] = []

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:
        """Make embeddings and memories.

        Raises:
            ConfigError: there are no ids.
            ShapeError: a layer's output has no rows to embed.
        """
        self.make_embeddings(student_shapes, teacher_shapes)
        self.make_memory(samples, blend_first=True)
        self.register_buffer("normalisers", torch.zeros(2))

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`crd`.

        Raises:
            ConfigError: no ids are given.
            ShapeError: student, teacher and ids are not of the same samples.
        """
        ids = one_id_each(self.name, single(student), ids, len(self.memory.seen))
        same_samples(self.name, single(student), single(teacher))
        s, t = self.student_embedding(single(student)), self.teacher_embedding(single(teacher))
        shown = self._shown(self.memory.hold(ids, s, t))
        if self.negatives_per_anchor is not None:
            return self.contrast(s, t, torch.cat([ids.unsqueeze(1), self._drawn_for_each(ids, shown)], dim=1))
        drawn, counts = self._drawn_for_all(shown)
        return self.contrast(s, t, ids.unsqueeze(1), drawn, counts * drawn.ne(ids.unsqueeze(1)))

    def contrast(
        self,
        student: Float[Tensor, "batch dim"],
        teacher: Float[Tensor, "batch dim"],
        ids: Int[Tensor, "batch scored"],
        others: Int[Tensor, " others"] | None = None,
        counts: Int[Tensor, "batch others"] | None = None,
    ) -> Float[Tensor, ""]:
        """The loss of embeddings against rows of the memories.

        Args:
            student: the student's embeddings.
            teacher: the teacher's.
            ids: the rows that each sample is scored with, its own first.
            others: rows that every sample is scored with besides.
            counts: how often each row after the first counts for each sample; once where left out.
        """
        sides = [
            (_cosines(student, self.memory.teacher, ids, others) / self.temperature).exp(),
            (_cosines(teacher, self.memory.student, ids, others) / self.temperature).exp(),
        ]
        samples = self.memory.seen.shape[0]
        normalisers = torch.where(self.normalisers > 0, self.normalisers, _means(sides, counts) * samples)
        if self.training and torch.is_grad_enabled():
            self._measured.append(normalisers)
        student_scores, teacher_scores = (side / z for side, z in zip(sides, normalisers, strict=True))
        return sum_over_ranks(crd(student_scores, teacher_scores, samples, counts)) / world_size()

    def after_step(self) -> None:
        """Commit the step's embeddings and, after the first step, Z; go on to the next draw."""
        super().after_step()
        if self._measured:
            self.normalisers.copy_(torch.stack(self._measured).mean(0))
        self.forget()

    def forget(self) -> None:
        """Drop what is held for :meth:`after_step`."""
        self._measured = []
        super().forget()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.forget()  # it belongs to the state that is replaced
        super()._load_from_state_dict(*args, **kwargs)

    def settings(self) -> dict[str, Any]:
        """Negatives, temperature, momentum and width."""
        return {
            "negatives": self.negatives,
            "negatives_per_anchor": self.negatives_per_anchor,
            "temperature": self.temperature,
            "momentum": self.momentum,
            "dim": self.dim,
        }

    def _shown(self, batch: Int[Tensor, " all"]) -> Int[Tensor, " shown"]:
        """The ids that training has shown, this step's included, in order. The same on every process."""
        shown = self.memory.seen.clone()
        shown[batch] = True
        return shown.nonzero().squeeze(1)

    def _drawn_for_all(self, shown: Int[Tensor, " shown"]) -> tuple[Int[Tensor, " others"], Int[Tensor, " others"]]:
        """The ids that were drawn, and how often."""
        places = torch.randint(shown.shape[0], (self.negatives,), generator=self.draws.generator())
        places, counts = places.to(shown.device).unique(return_counts=True)
        return shown[places], counts

    def _drawn_for_each(self, ids: Int[Tensor, " batch"], shown: Int[Tensor, " shown"]) -> Int[Tensor, "batch drawn"]:
        if shown.shape[0] < 2:
            return ids.new_empty(ids.shape[0], 0)
        # Drawn for the global batch, whose samples are dealt to the processes in turn.
        shape = (ids.shape[0] * world_size(), self.negatives_per_anchor or 0)
        places = torch.randint(shown.shape[0] - 1, shape, generator=self.draws.generator())
        places = places[rank() :: world_size()].to(ids.device)
        return shown[places + (places >= torch.searchsorted(shown, ids).unsqueeze(1))]


@full_precision
def _cosines(
    embedded: Float[Tensor, "batch dim"],
    memory: Float[Tensor, "samples dim"],
    ids: Int[Tensor, "batch scored"],
    others: Int[Tensor, " others"] | None,
) -> Float[Tensor, "batch all"]:
    """Inner products with the memory's rows of ``ids``, by the cheaper of two ways, and with those of ``others``."""
    if memory.shape[0] <= ids.shape[1] * embedded.shape[1] and ids.shape[1] > 1:
        products = (embedded @ memory.mT).gather(1, ids)
    else:
        products = (memory[ids] @ embedded.unsqueeze(2)).squeeze(2)
    return products if others is None else torch.cat([products, embedded @ memory[others].mT], dim=1)


def _means(sides: list[Float[Tensor, "batch all"]], counts: Int[Tensor, "batch others"] | None) -> Float[Tensor, "2"]:
    """Each side's mean score of what was drawn, a sample's own included, over the global batch."""
    weights = torch.ones_like(sides[0])
    if counts is not None:
        weights[:, 1:] = counts.to(weights.dtype)
    sums = torch.stack([*((weights * side.detach()).sum() for side in sides), weights.sum()])
    *scored, number = sum_over_ranks(sums)
    return torch.stack(scored) / number
