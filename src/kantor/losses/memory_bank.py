"""Losses against a memory of earlier embeddings: what they are given, and what they keep."""

from typing import ClassVar

from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.draws import Draws
from kantor.losses.embed import Embed, pooled_width
from kantor.losses.memory import FeatureMemory
from kantor.losses.settings import positive, share


class MemoryBankLoss(TransferLoss):
    """Learned embeddings of the penultimate layer, contrasted with those that a memory holds of every sample.

    Args:
        negatives: drawn for a batch.
        negatives_per_anchor: instead, drawn for each sample of the batch.
        momentum: of the memory.
        dim: numbers per embedding.

    Raises:
        ConfigError: a setting is out of range.
    """

    reads: ClassVar = "penultimate"
    needs_ids: ClassVar = True
    pooled = True

    def __init__(self, negatives: int, negatives_per_anchor: int | None, momentum: float, dim: int) -> None:
        super().__init__()
        positive(self.name, negatives=negatives, dim=dim)
        if negatives_per_anchor is not None:
            positive(self.name, negatives_per_anchor=negatives_per_anchor)
        share(self.name, momentum=momentum)
        self.negatives = negatives
        self.negatives_per_anchor = negatives_per_anchor
        self.momentum = momentum
        self.dim = dim

    def make_embeddings(self, student_shapes: Shapes, teacher_shapes: Shapes) -> None:
        """Make both sides' embeddings.

        Raises:
            ShapeError: a layer's output has no rows to embed.
        """
        (s,), (t,) = student_shapes, teacher_shapes
        self.student_embedding = Embed(pooled_width(s, self.name), self.dim)
        self.teacher_embedding = Embed(pooled_width(t, self.name), self.dim)

    def make_memory(self, samples: int, *, blend_first: bool = False) -> None:
        """Make the memory, and the draws from it.

        Args:
            samples: sample ids are in ``range(samples)``.
            blend_first: see :class:`~kantor.losses.memory.FeatureMemory`.

        Raises:
            ConfigError: there are no ids.
        """
        self.memory = FeatureMemory(samples, self.dim, self.momentum, blend_first=blend_first, who=self.name)
        self.draws = Draws()

    def after_step(self) -> None:
        """Commit the step's embeddings, and go on to the next draw."""
        self.memory.commit()
        self.draws.advance()

    def forget(self) -> None:
        """Drop what is held for :meth:`after_step`."""
        if hasattr(self, "memory"):
            self.memory.forget()
