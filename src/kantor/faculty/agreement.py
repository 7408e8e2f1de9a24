"""Does a score rank teachers as they turn out? Agreement of scores with accuracies that were really reached."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from kantor.core.errors import ShapeError

Table = Float[np.ndarray, "tasks teachers"]


@dataclass(frozen=True)
class Agreement:
    """Means over tasks, with 95 % intervals over resampled tasks and teachers."""

    tau: float
    """Weighted Kendall's tau in [-1, 1]; the top of the order weighs most. 0 is chance."""
    tau_interval: tuple[float, float]
    pearson: float
    """Pearson's r."""
    pearson_interval: tuple[float, float]


def agreement(scores: Table, accuracies: Table, *, resamples: int = 1000, seed: int = 0) -> Agreement:
    """Weighted Kendall's tau and Pearson's r between scores and reached accuracies, over the teachers of each task.

    The measures of the field (You et al., arXiv 2102.11005). Intervals are percentiles over resampled tasks, and
    teachers within the tasks; draws in which all teachers are one are left out.

    Args:
        scores: of each teacher for each task; NaN where there is none.
        accuracies: of the student that learned from it.

    Raises:
        ShapeError: the tables differ in shape, or a task has fewer than three teachers with both.
    """
    if scores.shape != accuracies.shape or scores.ndim != 2:
        raise ShapeError(f"Scores {scores.shape} and accuracies {accuracies.shape} must both be [tasks, teachers].")
    tasks = [np.flatnonzero(np.isfinite(s) & np.isfinite(a)) for s, a in zip(scores, accuracies, strict=True)]
    if min(len(known) for known in tasks) < 3:
        raise ShapeError("Agreement needs three teachers with a score and an accuracy in every task.")

    def means(which: Sequence[int], columns: Sequence[np.ndarray]) -> tuple[float, float]:
        both = [
            (_tau(scores[t, c], accuracies[t, c]), _pearson(scores[t, c], accuracies[t, c]))
            for t, c in zip(which, columns, strict=True)
        ]
        return float(np.nanmean([tau for tau, _ in both])), float(np.nanmean([r for _, r in both]))

    random = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        which = random.integers(len(tasks), size=len(tasks))
        columns = [random.choice(tasks[t], len(tasks[t])) for t in which]
        if all(len(np.unique(c)) > 2 for c in columns):
            draws.append(means(which.tolist(), columns))
    tau, pearson = means(range(len(tasks)), tasks)
    low, high = np.nanpercentile(np.array(draws), [2.5, 97.5], axis=0)
    return Agreement(tau, (float(low[0]), float(high[0])), pearson, (float(low[1]), float(high[1])))


def _tau(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.asarray(stats.weightedtau(x, y))[0])


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
