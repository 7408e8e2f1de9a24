"""An endless stream of a part's samples, pass after pass, each in an order of its own."""

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import ConfigError, DataError
from kantor.core.seeds import ORDER, hash64
from kantor.data.part import Part


class Stream:
    """``size`` samples for each step of a training, none of them twice in a pass.

    What a step gets depends on (seed, step) and the ids alone. The last samples of a pass that fill no step are left
    out of it, as a loader's are of an epoch.

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
            raise ConfigError(
                f"{min(size, len(part))} samples without labels beside each batch cannot be shared by {world} "
                "processes: raise unlabelled_batch, or unlabelled."
            )
        self._pass: tuple[int, Int64[np.ndarray, " n"]] | None = None

    def rows(self, step: int) -> Int64[np.ndarray, " size"]:
        """Positions in the part of the samples that come at step ``step`` of the training, from 0."""
        turn, place = divmod(step, len(self.part) // self.size)
        known = self._pass  # of its own, since batches are read by several threads
        if known is None or known[0] != turn:
            words = hash64(self.seed, ORDER, turn, self.part.ids)
            self._pass = known = turn, np.argsort(words, kind="stable").astype(np.int64)
        return known[1][place * self.size : (place + 1) * self.size]
