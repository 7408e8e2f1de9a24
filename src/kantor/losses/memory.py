"""A memory of every training sample's embedding, on both sides, by sample id (arXiv 1910.10699, section 3.5)."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kantor.core.collectives import gather_rows
from kantor.core.errors import ConfigError
from kantor.losses.embed import DIM


class FeatureMemory(nn.Module):
    """``m <- unit(momentum m + (1 - momentum) feature)`` for the ids of a step, on both sides.

    Rows are found by sample id and by nothing else, so shuffling does not matter. The features of a step (of all its
    micro-batches) are held until :meth:`commit`; those of all processes are gathered first, so every rank's memory is
    the same.
    RAM: ``2 x samples x dim`` floats (51 MB for 50,000 samples at 128 numbers, 1.3 GB for ImageNet).

    Args:
        samples: ids are in ``range(samples)``.
        dim: numbers per embedding.
        momentum: weight of the past; .5 in the public code.
        blend_first: average the first feature of a sample with the random row that stands for it, as the public code
            of CRD does; otherwise the first feature replaces it.
        who: the loss that asks, for the message.

    Raises:
        ConfigError: there are fewer than two samples, or the momentum is not in [0, 1).
    """

    student: Float[Tensor, "samples dim"]
    teacher: Float[Tensor, "samples dim"]
    seen: Bool[Tensor, " samples"]
    """Which rows hold a feature rather than a random vector."""

    def __init__(
        self, samples: int, dim: int = DIM, momentum: float = 0.5, *, blend_first: bool = False, who: str = "memory"
    ) -> None:
        super().__init__()
        if samples < 2:
            raise ConfigError(
                f"{who} contrasts a sample with others from a memory by sample id: give the number of training samples "
                f"(at least 2, not {samples}) and data with ids."
            )
        if not 0 <= momentum < 1:
            raise ConfigError(f"{who}: momentum is in [0, 1), not {momentum}.")
        self.momentum = momentum
        self.blend_first = blend_first
        bound = math.sqrt(3.0 / dim)  # rows of length about 1, as in the public code
        for side in ("student", "teacher"):
            self.register_buffer(side, torch.empty(samples, dim).uniform_(-bound, bound))
        self.register_buffer("seen", torch.zeros(samples, dtype=torch.bool))
        self._held: list[tuple[Tensor, Tensor, Tensor]] = []

    def hold(
        self, ids: Int[Tensor, " batch"], student: Float[Tensor, "batch dim"], teacher: Float[Tensor, "batch dim"]
    ) -> Int[Tensor, " all"]:
        """Keep a batch's embeddings for :meth:`commit`, beside those of the step's other micro-batches.

        Under ``no_grad`` and in eval mode nothing is kept: somebody is only looking at a value.

        Returns:
            The ids of the global batch.
        """
        held = gather_rows(ids), gather_rows(student.detach()), gather_rows(teacher.detach())
        if self.training and torch.is_grad_enabled():
            self._held.append(held)
        return held[0]

    @torch.no_grad()
    def commit(self) -> None:
        """Write what is held into the memory. Without anything held, do nothing."""
        for ids, *features in self._held:
            for memory, feature in zip((self.student, self.teacher), features, strict=True):
                new = self.momentum * memory[ids] + (1.0 - self.momentum) * feature
                if not self.blend_first:
                    new = torch.where(self.seen[ids].unsqueeze(1), new, feature)
                memory[ids] = nn.functional.normalize(new, dim=1).to(memory.dtype)
            self.seen[ids] = True
        self.forget()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.forget()  # it belongs to the state that is replaced
        super()._load_from_state_dict(*args, **kwargs)

    def forget(self) -> None:
        """Drop what is held."""
        self._held = []
