"""Stratified cuts by a hash of the sample's id: the same sample falls on the same side whatever else is read."""

import math

import numpy as np
from jaxtyping import Int64, UInt64

from kantor.core.seeds import SPLIT, hash64

# Each cut ranks by its own hash: what the limit keeps must say nothing of what validation takes.
TEST, LIMIT, VALIDATION, UNLABELLED = range(4)

# Not the run's seed: every run over one data set is judged on the same samples.
_SEED = 0


def choose(
    targets: Int64[np.ndarray, " n"],
    ids: Int64[np.ndarray, " n"],
    count: int,
    purpose: int,
    *,
    leave_one: bool = False,
    equal: bool = False,
) -> Int64[np.ndarray, " chosen"]:
    """Positions (ascending) of about ``count`` samples, in the classes' proportions, lowest hash of the id first.

    Args:
        targets: class numbers.
        ids: what is hashed; a larger ``count`` mostly keeps the samples a smaller one chose.
        count: how many; exact where the bounds below allow it.
        purpose: ``TEST``, ``LIMIT`` or ``VALIDATION``; cuts for different purposes are independent.
        leave_one: take at least one sample of each class with two or more, and leave at least one of each behind.
            Otherwise at least one of each class is taken.
        equal: as many of each class, instead of in their proportions; ``count`` is a multiple of the classes.
    """
    _, inverse, sizes = np.unique(targets, return_inverse=True, return_counts=True)
    upper = sizes - 1 if leave_one else sizes
    quota = np.full(len(sizes), count // len(sizes)) if equal else _allot(sizes, count, np.minimum(1, upper), upper)
    order = np.lexsort((hashed(ids, purpose), inverse))
    rank_in_class = np.arange(len(targets)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    picked = order[rank_in_class < quota[inverse[order]]]
    return np.sort(picked).astype(np.int64)


def hashed(ids: Int64[np.ndarray, " n"], purpose: int) -> UInt64[np.ndarray, " n"]:
    """What a cut for ``purpose`` ranks the samples by."""
    return hash64(_SEED, SPLIT, purpose, ids)


def sample(samples: int, count: int) -> Int64[np.ndarray, " sampled"]:
    """At most ``count`` positions (ascending) of ``samples``: the same ones every time."""
    words = hash64(SPLIT, np.arange(samples))
    if count < samples:
        return np.sort(np.argpartition(words, count)[:count]).astype(np.int64)
    return np.arange(samples)


def share(fraction: float, samples: int) -> int:
    """How many samples ``fraction`` of ``samples`` is, rounded up (scikit-learn's rule, which digits' 360 follows)."""
    # Rounded first: 0.1 * 30 is a little more than 3 in binary.
    return math.ceil(round(fraction * samples, 6))


def _allot(
    sizes: Int64[np.ndarray, " classes"],
    count: int,
    lower: Int64[np.ndarray, " classes"],
    upper: Int64[np.ndarray, " classes"],
) -> Int64[np.ndarray, " classes"]:
    """Largest remainders, within ``lower`` and ``upper``."""
    ideal = sizes * (count / max(1, int(sizes.sum())))
    quota = np.clip(np.floor(ideal).astype(np.int64), lower, upper)
    while (missing := count - int(quota.sum())) != 0:
        gap = ideal - quota if missing > 0 else quota - ideal
        free = quota < upper if missing > 0 else quota > lower
        if not free.any():
            break
        quota[np.argmax(np.where(free, gap, -np.inf))] += np.sign(missing)
    return quota
