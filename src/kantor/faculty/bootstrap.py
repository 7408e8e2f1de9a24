"""Bootstrap over samples: how far a score, and the gap between two teachers' scores, could lie by chance."""

import itertools

import numpy as np
import torch
from jaxtyping import Float

from kantor.core import seeds
from kantor.faculty.scores import Evidence, Score

_Z95 = 1.959964

# Entries of the largest block of draws.
_MAX_ENTRIES = 2**22


def resampled(score: Score, evidence: Evidence, resamples: int, seed: int = 0) -> Float[np.ndarray, " resamples"]:
    """The score on ``resamples`` draws of the samples with replacement.

    Draws depend on (seed, number of samples) alone, so those of two teachers on the same samples are paired.
    """
    count = len(evidence.labels)
    generator = seeds.generator(seed, seeds.SPLIT, count)
    draws = (torch.randint(count, (count,), generator=generator) for _ in range(resamples))
    if score.samples is not None:
        values = score.samples(evidence).double()
        return np.array([values[draw].mean().item() for draw in draws])
    needed = evidence.only(score.needs)
    if score.many is not None:
        block = max(1, _MAX_ENTRIES // count)
        blocks = iter(lambda: list(itertools.islice(draws, block)), [])
        return np.concatenate([score.many(needed, torch.stack(some)).numpy() for some in blocks] or [np.empty(0)])
    return np.array([score.of(needed.rows(draw)) for draw in draws])


def interval(value: float, draws: Float[np.ndarray, " resamples"]) -> tuple[float, float] | None:
    """A 95 % interval of ``value``: normal, with the draws' standard deviation.

    Not their percentiles: repeated samples bias scores that fit something to them, which shifts the draws' centre.
    None where there are too few draws to say.
    """
    if len(draws) < 2:
        return None
    half = _Z95 * float(np.std(draws, ddof=1))
    return value - half, value + half
