"""A part -> the batches of an epoch, in an order that is a pure function of (seed, epoch, id)."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int64

from kantor.core.errors import ConfigError, DataError
from kantor.core.inputs import Inputs, joined
from kantor.core.seeds import ORDER, hash64
from kantor.data.augment import Augment
from kantor.data.batch import Batch
from kantor.data.part import Part
from kantor.data.stream import Stream

# Enough to hide one slow batch; each costs a batch of memory.
_AHEAD = 2
# The last images of a batch leave cores idle, and so does what is done with it as a whole: the next fills them.
_READERS = 2


class Loader:
    """Batches of one part for one of ``world`` processes.

    Sample order depends on (seed, epoch, id) alone: not on the process count, nor on the step an epoch starts from,
    and two samples keep their relative order whatever other samples the part holds.

    Args:
        part: what to read.
        batch_size: samples in a global batch, all processes together. A part with fewer is one batch of all.
        seed: of order and augmentation.
        augment: applied to each batch.
        rank, world: this process takes rows ``rank::world`` of each global batch.
        shuffle: off, samples come in the order of their ids.
        drop_last: leave out the samples that fill no global batch, and those that do not divide evenly over the
            processes. Off (for evaluation) every sample comes exactly once, and processes may differ by one row in
            a batch.
        beside: samples without labels that come after those of every batch.

    Raises:
        ConfigError: a batch that cannot be shared by ``world`` processes.
        DataError: the part is empty.
    """

    def __init__(
        self,
        part: Part,
        batch_size: int,
        *,
        seed: int,
        augment: Augment,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
        drop_last: bool = True,
        beside: Stream | None = None,
    ):
        if len(part) == 0:
            raise DataError(f"The {part.name} part is empty. Raise the limit on its samples, or check the data.")
        batch_size = min(batch_size, len(part))
        if batch_size < 1 or (drop_last and batch_size < world):
            raise ConfigError(f"A batch of {batch_size} cannot be shared by {world} processes. Raise the batch size.")
        if not 0 <= rank < world:
            raise ConfigError(f"Rank {rank} is not one of {world} processes.")
        self.part, self.batch_size, self.seed, self.augment = part, batch_size, seed, augment
        self.rank, self.world, self.shuffle, self.drop_last = rank, world, shuffle, drop_last
        self.beside = beside

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch; the same on every process."""
        full, rest = divmod(len(self.part), self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    def order(self, epoch: int) -> Int64[np.ndarray, " n"]:
        """Positions in the part, in the order epoch ``epoch`` visits them."""
        if not self.shuffle:
            return np.arange(len(self.part))
        return np.argsort(hash64(self.seed, ORDER, epoch, self.part.ids), kind="stable").astype(np.int64)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch ``epoch`` from step ``start`` on: the ones the whole epoch would give there."""
        order = self.order(epoch)
        steps = range(start, self.steps_per_epoch)
        if not self.part.on_demand:
            for step in steps:
                yield self._batch(epoch, step, self._share(order, step))
            return
        with ThreadPoolExecutor(_READERS) as reader:
            waiting: deque[Future[Batch]] = deque()
            try:
                for step in steps:
                    waiting.append(reader.submit(self._batch, epoch, step, self._share(order, step)))
                    if len(waiting) > _AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for batch in waiting:
                    batch.cancel()

    def epochs(self) -> "Epochs":
        """Epochs to iterate over again and again, as a pretraining does: see :meth:`kantor.Objective.prepare`."""
        return Epochs(self)

    def _share(self, order: Int64[np.ndarray, " n"], step: int) -> Int64[np.ndarray, " batch"]:
        rows = order[step * self.batch_size : (step + 1) * self.batch_size]
        if self.drop_last:
            rows = rows[: len(rows) - len(rows) % self.world]
        return rows[self.rank :: self.world]

    def _batch(self, epoch: int, step: int, rows: Int64[np.ndarray, " batch"]) -> Batch:
        inputs, ids = self.part.read(rows), self.part.ids[rows]
        if self.beside is not None:
            more = self.beside.rows(epoch * self.steps_per_epoch + step)[self.rank :: self.world]
            inputs = _joined(inputs, self.beside.part.read(more))
            ids = np.concatenate([ids, self.beside.part.ids[more]])
        known = torch.from_numpy(ids)
        inputs, views = self.augment.apply(inputs, known, epoch, self.seed)
        targets = self.part.labels(rows, inputs)
        return Batch(inputs, targets, known, views)


class Epochs:
    """A loader's epochs: each iteration over it is the next one, in an order and with augmentation of its own."""

    def __init__(self, loader: Loader):
        self._loader, self._next = loader, 0

    def __iter__(self) -> Iterator[Batch]:
        epoch, self._next = self._next, self._next + 1
        return self._loader.epoch(epoch)


def _joined(first: Mapping[str, Inputs], then: Mapping[str, Inputs]) -> dict[str, Inputs]:
    """Both one after the other, by role; roles that share an input share the result."""
    made: dict[int, Inputs] = {}
    for role, x in first.items():
        if id(x) not in made:
            made[id(x)] = joined(x, then[role])
    return {role: made[id(x)] for role, x in first.items()}
