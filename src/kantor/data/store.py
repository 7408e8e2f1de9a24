"""Where decoded samples live: in memory, or behind a decoder that is called for each batch."""

import hashlib
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor


@runtime_checkable
class Store(Protocol):
    """Samples by position."""

    shape: tuple[int, ...]
    """One sample's shape: ``(channels, height, width)``, ``(dim,)``, or of a text ``(tokens, vocabulary)``: at most so
    many tokens, of so many."""
    on_demand: bool
    """Each read decodes: worth doing ahead of time."""

    def read(self, rows: Int64[np.ndarray, " batch"]) -> Any:
        """The samples at ``rows``: a tensor, images in [0, 1]; or a mapping of tensors; or, of what no network sees as
        it is, a list."""
        ...

    def digest(self, rows: Int64[np.ndarray, " n"]) -> str:
        """A hex digest of what the samples at ``rows`` hold."""
        ...


class InMemory:
    """Samples kept as one tensor: uint8 images, which are scaled by 1/255 when read, or float32 taken as it is."""

    on_demand = False

    def __init__(self, values: Shaped[Tensor, "n ..."]):
        self.values = values
        self.shape = tuple(values.shape[1:])

    def take(self, rows: Int64[np.ndarray, " n"]) -> "InMemory":
        """Those at ``rows``."""
        all_in_order = len(rows) == len(self.values) and bool((rows == np.arange(len(rows))).all())
        return self if all_in_order else InMemory(self.values.index_select(0, torch.from_numpy(rows)))

    def read(self, rows: Int64[np.ndarray, " batch"]) -> Float32[Tensor, "batch ..."]:
        """The samples at ``rows``: one index, one scaling."""
        taken = self.values.index_select(0, torch.from_numpy(rows))
        return taken.to(torch.float32).div_(255) if taken.dtype == torch.uint8 else taken

    def digest(self, rows: Int64[np.ndarray, " n"]) -> str:
        """SHA-256 of shape, type and values."""
        digest = hashlib.sha256(f"{self.shape} {self.values.dtype}".encode())
        for start in range(0, len(rows), 4096):
            taken = self.values.index_select(0, torch.from_numpy(rows[start : start + 4096]))
            digest.update(taken.contiguous().numpy().data)
        return digest.hexdigest()
