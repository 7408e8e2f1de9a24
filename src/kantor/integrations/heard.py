"""Terms heard since they were written down last."""

from collections.abc import Mapping

import torch
from torch import Tensor

from kantor.core.collectives import sum_over_ranks, world_size


class Heard:
    """Means of terms over steps and processes, for a log. Nothing waits for a GPU before it is asked."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weight = 0.0

    def add(self, terms: Mapping[str, Tensor], weight: float = 1.0) -> None:
        """Count the values of a batch in, whose share of its step is ``weight``."""
        for name, value in terms.items():
            one = weight * value.detach().double()
            self._sums[name] = self._sums[name] + one if name in self._sums else one
        self._weight += weight

    def told(self) -> dict[str, float]:
        """The means, then forgotten. With several processes every one of them calls it."""
        if not self._sums:
            return {}
        sums = sum_over_ranks(torch.stack([*self._sums.values()])) / (world_size() * self._weight)
        means = dict(zip(self._sums, sums.tolist(), strict=True))
        self._sums, self._weight = {}, 0.0
        return means
