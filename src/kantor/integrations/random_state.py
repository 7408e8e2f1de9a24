"""Where random numbers stand, in a form that any checkpoint holds: for every process its own."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from kantor.core.collectives import rank, world_size


def random_states() -> list[dict[str, Any]]:
    """Of Python, numpy and torch, a mapping of plain values for each process. Every one of them calls it."""
    state: Any = np.random.get_state()
    kind, keys, place, has_gauss, gauss = state
    own = {
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), place, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    if world_size() == 1:
        return [own]
    found: list[Any] = [None] * world_size()
    dist.all_gather_object(found, own)
    return found


def restore_random_state(states: Sequence[dict[str, Any]]) -> None:
    """Go on from what :func:`random_states` gave; of another number of processes nothing is known, or changed."""
    if len(states) != world_size():
        return
    own = states[rank()]
    version, words, gauss = own["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = own["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(own["torch"])
    if own["cuda"] and len(own["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(own["cuda"])
