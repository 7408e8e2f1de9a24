"""An endless stream of a part's samples, pass after pass, each in an order of its own."""

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import ConfigError, DataError
from kantor.core.seeds import ORDER, hash64
from kantor.data.part import Part


class Stream:
    """``size`` samples for each step of a training. What a step gets depends on (seed, step) and the ids alone.

    Args:
        part: where they are read.
        size: samples a step, all processes together; a part with fewer gives all it has.
        seed: of their order.
        world: processes that share them; what does not divide evenly is left out of each step.

    Raises:
        DataError: the part is empty.
        ConfigError: a step's samples cannot be shared by so many processes.
    """

    def __init__(self, part: Part, size: int, seed: int, world: int = 1):
        if len(part) == 0:
            raise DataError(f"The {part.name} part is empty.")
        self.part, self.seed = part, seed
        self.size = min(size, len(part)) // world * world
        if self.size < 1:
            raise ConfigError(f"{size} samples beside each batch cannot be shared by {world} processes: take more.")
        self._passes: dict[int, Int64[np.ndarray, " n"]] = {}

    def rows(self, step: int) -> Int64[np.ndarray, " size"]:
        """Positions in the part of the samples that come at step ``step`` of the training, from 0."""
        at = step * self.size + np.arange(self.size)
        turn, place = np.divmod(at, len(self.part))
        return np.concatenate([self._order(int(k))[place[turn == k]] for k in np.unique(turn)])

    def _order(self, turn: int) -> Int64[np.ndarray, " n"]:
        if turn not in self._passes:
            order = np.argsort(hash64(self.seed, ORDER, turn, self.part.ids), kind="stable").astype(np.int64)
            self._passes = {k: v for k, v in self._passes.items() if k == turn - 1} | {turn: order}
        return self._passes[turn]
