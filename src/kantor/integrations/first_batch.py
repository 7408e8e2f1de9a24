"""A training batch to look at before the first step, as if nobody had looked."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from kantor.core.errors import DataError


def first_batch(loader: Iterable[Any]) -> Any:
    """The first batch of a loader. Generators of random numbers are left as they were.

    Raises:
        DataError: it holds none.
    """
    with random_state_kept():
        for batch in loader:
            return batch
    raise DataError("The training data hold no batch: they are empty, or shorter than a batch that may not be short.")


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Leave Python's, numpy's and torch's random numbers as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
