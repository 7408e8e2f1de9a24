"""Which classes a method gained and lost, and what is taken for what."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from kantor.report.run import ALONE, Run

SHOWN = 10
"""So many classes are listed at each end."""


@dataclass(frozen=True)
class Confusions:
    """Counts over all finished seeds, by method."""

    names: list[str]
    """Of classes; their numbers where no names are known."""
    counts: dict[str, Int[np.ndarray, "classes classes"]]
    """``counts[method][target, prediction]``."""


@dataclass(frozen=True)
class Change:
    """How one class fares under a method and under the student alone."""

    name: str
    alone: float
    """Share of its samples that are right, in [0, 1]."""
    ours: float

    @property
    def points(self) -> float:
        """Gain in percentage points."""
        return 100 * (self.ours - self.alone)


def confusions(run: Run) -> Confusions | None:
    """Sum the confusion matrices of every method over its seeds; None where none was recorded."""
    counts: dict[str, np.ndarray] = {}
    for method in run.methods:
        found = [np.array(s.result["confusion"]) for s in run.of(method) if s.result and s.result.get("confusion")]
        if found and all(matrix.shape == found[0].shape for matrix in found):
            counts[method] = np.sum(found, axis=0)
    if not counts:
        return None
    size = next(iter(counts.values())).shape[0]
    names = run.class_names if len(run.class_names) == size else [str(k) for k in range(size)]
    return Confusions(names, counts)


def changes(found: Confusions, method: str) -> list[Change]:
    """Every class of the test part, the one that gained most first; empty without the student alone."""
    if ALONE not in found.counts or method == ALONE or method not in found.counts:
        return []
    alone, ours = recall(found.counts[ALONE]), recall(found.counts[method])
    known = [Change(n, a, o) for n, a, o in zip(found.names, alone, ours, strict=True) if np.isfinite(a)]
    return sorted(known, key=lambda change: -change.points)


def recall(counts: Int[np.ndarray, "classes classes"]) -> Float[np.ndarray, " classes"]:
    """Share of each class's samples that are right; NaN for a class without samples."""
    totals = counts.sum(axis=1).astype(float)
    totals[totals == 0] = np.nan
    return np.diag(counts) / totals


def ends(ordered: list[Change]) -> list[Change]:
    """The classes that gained most and lost most: all of them where they are few."""
    return ordered if len(ordered) <= 2 * SHOWN else ordered[:SHOWN] + ordered[-SHOWN:]
