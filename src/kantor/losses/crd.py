"""CRD: contrastive representation distillation (Tian, Krishnan & Isola, ICLR 2020, arXiv 1910.10699)."""

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor.core.collectives import rank, sum_over_ranks, world_size
from kantor.core.errors import ConfigError
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.draws import Draws
from kantor.losses.embed import DIM, Embed, pooled_width
from kantor.losses.memory import FeatureMemory
from kantor.losses.precision import full_precision
from kantor.losses.stages import single


@full_precision
def nce(scores: Float[Tensor, "batch scored"], samples: int) -> Float[Tensor, ""]:
    """``-mean over the batch of [log P_0 / (P_0 + K/N) + sum over k of log (K/N) / (P_k + K/N)]``.

    Noise-contrastive estimation of one side. ``P_0`` belongs to the sample itself, the others to K negatives.

    Args:
        scores: ``P = exp(cosine / temperature) / Z``, the sample's own first.
        samples: N, from which the negatives are drawn uniformly.
    """
    noise = (scores.shape[1] - 1) / samples
    beside = scores + noise + 1e-7
    own = (scores[:, 0] / beside[:, 0]).log()
    others = math.log(noise) - beside[:, 1:].log()
    return -(own + others.sum(1)).mean()


class CRD(TransferLoss):
    """:func:`nce` of both sides, added: student embeddings against the teacher's memory, and the reverse.

    Follows the public code (RepDistiller): linear embeddings to 128 numbers of length 1, memories with momentum .5,
    ``Z`` of each side set from the first batch and kept. Two differences. A sample's own id is never drawn as its
    negative; the public code draws it once in N. Memories are written after the optimiser's step, with the features
    of the forward pass, which gives the same numbers.

    Memory: ``2 x samples x 128`` floats (51 MB for 50,000 samples), and the scores of a step, ``batch x samples``
    (25 MB for a batch of 128); where samples outnumber ``128 x negatives``, ``batch x negatives x 128`` instead.

    Args:
        negatives: K, drawn for each sample.
        temperature: divides the cosine.
        momentum: of the memories.
        dim: numbers per embedding.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar = "crd"
    paper: ClassVar = "arXiv 1910.10699"
    default_weight: ClassVar = 0.8
    reads: ClassVar = "penultimate"
    needs_ids: ClassVar = True
    pooled = True

    normalisers: Float[Tensor, "2"]
    """Z of the student's and of the teacher's scores; 0 before the first step."""

    def __init__(
        self, negatives: int = 16384, temperature: float = 0.07, momentum: float = 0.5, dim: int = DIM
    ) -> None:
        super().__init__()
        if negatives < 1 or dim < 1:
            raise ConfigError(f"crd: negatives and dim must be positive, not {negatives} and {dim}.")
        if not temperature > 0:
            raise ConfigError(f"crd: temperature must be positive, not {temperature}.")
        if not 0 <= momentum < 1:
            raise ConfigError(f"crd: momentum is in [0, 1), not {momentum}.")
        self.negatives = negatives
        self.temperature = temperature
        self.momentum = momentum
        self.dim = dim
        self._next: Tensor | None = None

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:
        """Make embeddings and memories.

        Raises:
            ConfigError: there are no ids.
            ShapeError: a layer's output has no rows to embed.
        """
        (s,), (t,) = student_shapes, teacher_shapes
        self.student_embedding = Embed(pooled_width(s, self.name), self.dim)
        self.teacher_embedding = Embed(pooled_width(t, self.name), self.dim)
        self.memory = FeatureMemory(samples, self.dim, self.momentum, blend_first=True, who=self.name)
        self.draws = Draws()
        self.register_buffer("normalisers", torch.zeros(2))

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """The two sides' :func:`nce`, added.

        Raises:
            ConfigError: no ids are given.
        """
        if ids is None:
            raise ConfigError("crd finds its memory by sample id, and the batch has no ids.")
        s, t = self.student_embedding(single(student)), self.teacher_embedding(single(teacher).detach())
        self.memory.hold(ids, s, t)
        return self.contrast(s, t, torch.cat([ids.unsqueeze(1), self._draw(ids)], dim=1))

    def contrast(
        self, student: Float[Tensor, "batch dim"], teacher: Float[Tensor, "batch dim"], ids: Int[Tensor, "batch scored"]
    ) -> Float[Tensor, ""]:
        """The loss of embeddings against the memories' rows of ``ids``, a sample's own id first."""
        sides = [
            (_cosines(student, self.memory.teacher, ids) / self.temperature).exp(),
            (_cosines(teacher, self.memory.student, ids) / self.temperature).exp(),
        ]
        samples = self.memory.seen.shape[0]
        means = sum_over_ranks(torch.stack([side.detach().mean() for side in sides])) / world_size()
        normalisers = torch.where(self.normalisers > 0, self.normalisers, means * samples)
        if torch.is_grad_enabled():
            self._next = normalisers
        total = sum(nce(side / z, samples) for side, z in zip(sides, normalisers, strict=True))
        return sum_over_ranks(torch.as_tensor(total)) / world_size()

    def after_step(self) -> None:
        """Commit the batch's embeddings and, after the first step, Z; go on to the next draw."""
        self.memory.commit()
        self.draws.advance()
        if self._next is not None:
            self.normalisers.copy_(self._next)
            self._next = None

    def settings(self) -> dict[str, Any]:
        """Negatives, temperature, momentum and width."""
        return {
            "negatives": self.negatives,
            "temperature": self.temperature,
            "momentum": self.momentum,
            "dim": self.dim,
        }

    def _draw(self, ids: Int[Tensor, " batch"]) -> Int[Tensor, "batch negatives"]:
        # Drawn for the global batch, whose samples are dealt to the processes in turn.
        shape = (ids.shape[0] * world_size(), self.negatives)
        drawn = torch.randint(self.memory.seen.shape[0] - 1, shape, generator=self.draws.generator())
        drawn = drawn[rank() :: world_size()].to(ids.device)
        return drawn + (drawn >= ids.unsqueeze(1))


@full_precision
def _cosines(
    embedded: Float[Tensor, "batch dim"], memory: Float[Tensor, "samples dim"], ids: Int[Tensor, "batch scored"]
) -> Float[Tensor, "batch scored"]:
    """Inner products with the memory's rows of ``ids``, by the cheaper of two ways."""
    if memory.shape[0] <= ids.shape[1] * embedded.shape[1]:
        return (embedded @ memory.mT).gather(1, ids)
    return (memory[ids] @ embedded.unsqueeze(2)).squeeze(2)
