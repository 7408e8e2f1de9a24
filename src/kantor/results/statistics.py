"""Means and paired differences over seeds, with t intervals."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev

from scipy import stats

Interval = tuple[float, float] | None
TOO_FEW = "Two seeds are too few for an interval to mean much: it is wide whatever they reach. Give --seeds 3 or more."


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The t interval of the mean of ``values``; None for fewer than two, whose spread nobody knows."""
    if len(values) < 2:
        return None
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def paired_difference(ours: Sequence[float], theirs: Sequence[float], level: float = 0.95) -> tuple[float, Interval]:
    """Mean of ``ours[k] - theirs[k]`` and its t interval: the same seed fixed both students' start, order and crops."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    return fmean(differences), t_interval(differences, level)


def few(seeds: Iterable[int]) -> str:
    """What to say beside intervals: :data:`TOO_FEW` where one is of two seeds, empty else.

    Args:
        seeds: how many each interval is of.
    """
    return TOO_FEW if 2 in seeds else ""
