"""A term's weight as a function of training progress."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from kantor.core.errors import ConfigError


@dataclass(frozen=True)
class Balanced:
    """A weight found at step 0: the one that makes the term's gradient norm ``share`` times the task's.

    Args:
        share: positive; 1 lets term and task pull equally hard at first.

    Raises:
        ConfigError: ``share`` is not positive.
    """

    share: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.share) and self.share > 0):
            raise ConfigError(f"A balanced weight's share of the task's gradient is positive, not {self.share}.")


LIMIT = 5.0
"""Of a term under its default weight: the largest norm of its gradient, as a multiple of the task's. Chosen by single
looks at a few pairs of networks, on their test parts, so that what it gains there is optimistic; how it does on others
is in ``docs/defaults.md``."""
LIMIT_ADAMW = 0.2
"""The same under AdamW, whose step is of one length: what a term takes of it the task loses. So it is a multiple of the
task's gradient under the task's own weight. Of .2 and .5 the one whose worst pair lost less, among five pairs of three
seeds (fashion-plain and fashion-mixer of ``benchmarks/battery``, a perceptron, an MLP, a CNN), by test accuracy; their
means are not told apart. 2 and 5 cost a CNN 5 to 12 points."""


def automatic_limit(*, adaptive: bool, task_weight: float) -> float:
    """The limit of a term under its default weight.

    Args:
        adaptive: the optimiser's step has one length whatever the gradients' (Adam and its kin, unlike SGD).
        task_weight: the task's weight in the objective, positive.
    """
    return LIMIT_ADAMW * task_weight if adaptive else LIMIT


@dataclass(frozen=True)
class Weight:
    """A weight over training: ``value`` held constant, or moved to ``end`` after a linear warm-up from 0.

    Args:
        value: the weight, zero or positive, once warm-up is over.
        schedule: ``constant``; ``linear`` or ``cosine`` from ``value`` to ``end`` over the rest of training.
        end: where ``linear`` and ``cosine`` arrive.
        warmup: share of training, in [0, 1), over which the weight rises from 0.
        limit: the weight is lowered while the term's gradient norm is more than so many times the task's
            (:class:`~kantor.objective.limits.Limits`); ``"auto"`` for what the optimiser asks for
            (:func:`automatic_limit`), once it has made a step; None for no limit. Without a task there is none.

    Raises:
        ConfigError: a weight is negative or not finite, ``warmup`` outside [0, 1), or ``limit`` not positive.
    """

    value: float
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    end: float = 0.0
    warmup: float = 0.0
    limit: float | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        for name, number in (("value", self.value), ("end", self.end)):
            if not (math.isfinite(number) and number >= 0):
                raise ConfigError(f"A weight's {name} is zero or positive; every loss is minimised. Got {number}.")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"A weight's warmup is a share of training in [0, 1), not {self.warmup}.")
        if not (self.limit in (None, "auto") or (math.isfinite(self.limit) and self.limit > 0)):
            raise ConfigError(f"A weight's limit is a positive multiple of the task's gradient, not {self.limit}.")
        if self.schedule not in ("constant", "linear", "cosine"):
            raise ConfigError(f"A weight's schedule is constant, linear or cosine, not {self.schedule!r}.")

    def times(self, factor: float) -> "Weight":
        """The same, multiplied, its limit too: what is limited may pull so much more or less."""
        limit = factor * self.limit if isinstance(self.limit, int | float) else self.limit
        return replace(self, value=factor * self.value, end=factor * self.end, limit=limit)

    def at(self, progress: float) -> float:
        """The weight once ``progress`` (0 to 1) of training is done."""
        if progress < self.warmup:
            return self.value * progress / self.warmup
        if self.schedule == "constant":
            return self.value
        done = (progress - self.warmup) / (1 - self.warmup)
        left = 1 - done if self.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
        return self.end + (self.value - self.end) * left
