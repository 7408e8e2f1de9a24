"""Collapse: a student that no longer tells its samples apart, seen while it trains and said at the end."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY
from kantor.training.checkpoint import Position
from kantor.training.evaluate import Scores

PATIENCE = 3
"""Epochs at chance after which a collapsed student is stopped, where that is asked for."""
EARLY = 0.3
"""Share of training in which a student that has not left chance yet is only slow."""
MARGIN = 0.2
"""Share of the way from guessing to always being right that no chance is made of, however few the samples."""


@dataclass(frozen=True)
class Collapse:
    """What became of a student that ended where it could as well have guessed; kept in ``result.json``."""

    epoch: int | None
    """The first of the epochs at chance that lasted to the end; None where no validation part showed it."""
    signs: list[str]
    """What was seen, each in a few words."""

    @classmethod
    def parse(cls, record: Mapping[str, Any] | None) -> "Collapse | None":
        """From a result's record; None where there was no collapse."""
        return None if record is None else cls(record["epoch"], list(record["signs"]))

    def __str__(self) -> str:
        said = ", ".join(self.signs)
        return f"at epoch {self.epoch} ({said})" if self.epoch is not None else said


def guesses(scores: Scores) -> bool:
    """Whether a classifier is no better than guessing, in accuracy and in the mean of its classes' recalls.

    It is told by the confusion, and so of tasks alone whose outputs name classes: of others nobody knows what guessing
    reaches.

    The bound is what a constant answer reaches, and two standard errors of it, or :data:`MARGIN` where that is less:
    of twenty samples of two classes, 15 right are no proof of having learned, and no sign of collapse either. Both are
    asked for: where one class is frequent, a student that has learned may be right less often than one that always
    names it.
    """
    counts = [sum(row) for row in scores.confusion]
    present = [place for place, count in enumerate(counts) if count]
    if len(present) < 2:
        return False
    labels = sum(counts)
    chance = max(counts) / labels
    error = min(2 * math.sqrt(chance * (1 - chance) / labels), MARGIN * (1 - chance))
    one = 1 / len(present)
    recalls = [scores.confusion[place][place] / counts[place] for place in present]
    spread = 2 * math.sqrt(sum(one * (1 - one) / counts[place] for place in present)) * one
    spread = min(spread, MARGIN * (1 - one))
    right = sum(scores.confusion[place][place] for place in present) / labels
    return right <= chance + error and sum(recalls) * one <= one + spread


def hopeless(since: int, epoch: int, epochs: int) -> bool:
    """Whether going on is of no use: at chance for some epochs, and not only because training has just begun.

    Args:
        since: the first of the epochs at chance; 0 for none.
        epoch: the one that has ended, from 1.
        epochs: of the whole training.
    """
    return since > 0 and epoch - since >= PATIENCE and epoch >= EARLY * epochs


def verdict(judged: Scores | None, position: Position, scale: Scale = ACCURACY) -> Collapse | None:
    """Whether the student that is kept, or the one that training ended with, has collapsed.

    Args:
        judged: of the kept student on the test part; None where it was not read.
        position: where training ended.
        scale: of the metric that students are judged by.
    """
    since = position.since
    signs = []
    if judged is not None and guesses(judged):
        signs.append(f"{scale.said(judged.value)} on the test part, no more than guessing")
        if sum(any(column) for column in zip(*judged.confusion, strict=True)) == 1:
            signs.append("one class for every sample")
    if since and position.best_epoch < since and (fall := _fall(position, scale)):
        signs.append(fall)
    if not signs:
        return None
    first, last = position.first_loss, position.last_loss
    if first is not None and last is not None and last > first:
        signs.append(f"task loss {last:.3g}, above the first epoch's {first:.3g}")
    return Collapse(since or None, signs)


def _fall(position: Position, scale: Scale) -> str | None:
    """How far a student fell on the validation part, if it was twice as good before; of shares alone that can be said.

    What never left chance has not fallen: one right of ten is not half of what two were.
    """
    reached, best = position.reached, position.best
    if reached is None or best is None or not scale.is_share or best < 2 * reached:
        return None
    return f"fell from {scale.number(best, 1)} to {scale.said(reached)} on the validation part"
