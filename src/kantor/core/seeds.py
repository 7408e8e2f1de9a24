"""Randomness as a pure function of named integers, so that order and augmentation need no state to resume.

``hash64(seed, epoch, ids)`` is counter-based: the value for one id depends on nothing but its own key,
whatever the batch, worker or process it is asked from.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

# Streams keep the uses of one seed apart: the order of epoch 3 must not equal the crops of epoch 3.
ORDER, AUGMENT, SPLIT, INIT, LOSS, STEP, TEACHER, VIEW = range(8)


def hash64(*keys: int | NDArray[np.integer]) -> NDArray[np.uint64]:
    """Mix integer keys (scalars or arrays that broadcast) into uniform 64-bit words.

    SplitMix64's finaliser (Steele, Lea & Flood, OOPSLA 2014) is applied after each key.
    """
    state = np.zeros((), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            word = np.asarray(key).astype(np.int64).astype(np.uint64)
            state = _finalise(state + word + np.uint64(0x9E3779B97F4A7C15))
    return state


def uniform(*keys: int | NDArray[np.integer]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), one per broadcast key."""
    return (hash64(*keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def generator(*keys: int) -> torch.Generator:
    """A torch generator on the CPU seeded by the mixed keys."""
    return torch.Generator().manual_seed(int(hash64(*keys)) & 0x7FFF_FFFF_FFFF_FFFF)


def seed_all(*keys: int) -> None:
    """Seed torch's global generators (initialisation, dropout) by the mixed keys."""
    seed = int(hash64(*keys)) & 0x7FFF_FFFF_FFFF_FFFF
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:  # without one, torch writes down the stack of calls at every seed, for devices that there may be later
        torch.default_generator.manual_seed(seed)


@contextlib.contextmanager
def fixed(*keys: int) -> Iterator[None]:
    """Torch's global generator on the CPU as the mixed keys seed it; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        seed_all(*keys)
        yield


def _finalise(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
