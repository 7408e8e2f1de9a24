"""Tokens that lie in an array of their own, as ``input_ids``: numbers that a network looks up, and no measurements."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from kantor.core.errors import DataError
from kantor.data.label_kinds import IGNORED
from kantor.data.tokenised import TEXT

IDS, MASK = TEXT
BESIDE = (MASK, "token_type_ids")
"""Arrays that are given to the network with the tokens, where they are there."""


class TokenArray:
    """As many tokens a sample, by the names of the network's arguments.

    Args:
        arrays: ``input_ids``, and of :data:`BESIDE` what there is. Without an ``attention_mask`` every token counts.
        vocabulary: tokens are numbers from 0 to one less.
    """

    on_demand = False

    def __init__(self, arrays: Mapping[str, Int64[np.ndarray, "n tokens"]], vocabulary: int):
        self.arrays = {IDS: arrays[IDS], MASK: np.ones_like(arrays[IDS]), **arrays}
        self.vocabulary = vocabulary
        self.shape = (arrays[IDS].shape[1], vocabulary)

    def take(self, rows: Int64[np.ndarray, " n"]) -> "TokenArray":
        """Those at ``rows``."""
        return TokenArray({name: array[rows] for name, array in self.arrays.items()}, self.vocabulary)

    def read(self, rows: Int64[np.ndarray, " batch"]) -> dict[str, Int64[Tensor, "batch tokens"]]:
        """The samples at ``rows``, by the names of the network's arguments."""
        return {name: torch.from_numpy(array[rows]) for name, array in self.arrays.items()}

    def digest(self, rows: Int64[np.ndarray, " n"]) -> str:
        """SHA-256 of the tokens and of what lies beside them."""
        digest = hashlib.sha256(str(self.shape).encode())
        for name, array in sorted(self.arrays.items()):
            digest.update(name.encode() + np.ascontiguousarray(array[rows], dtype="<i8").tobytes())
        return digest.hexdigest()


def vocabulary_of(tokens: Iterable[Shaped[np.ndarray, "..."]]) -> int:
    """One more than the largest token of any part."""
    return 1 + max((int(array.max(initial=0)) for array in tokens if array.dtype.kind in "iub"), default=0)


def tokens_themselves(arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> Shaped[np.ndarray, "n tokens"]:
    """The tokens as labels of their own, -100 where they are padding."""
    ids, mask = arrays[IDS], arrays.get(MASK)
    fits = mask is not None and mask.shape == ids.shape
    return np.where(mask != 0, ids.astype(np.int64), IGNORED) if fits else ids


def token_array(arrays: Mapping[str, Shaped[np.ndarray, "..."]], vocabulary: int, where: str) -> TokenArray:
    """The tokens of a part, and what lies beside them.

    Args:
        arrays: all of the part's.
        vocabulary: see :class:`TokenArray`.
        where: the file and the part, for messages.

    Raises:
        DataError: they are not ``[samples, tokens]``, not whole numbers from 0, or not of the shape of what lies
            beside them.
    """
    found = {name: arrays[name] for name in (IDS, *BESIDE) if name in arrays}
    for name, array in found.items():
        if array.ndim != 2 or array.shape != found[IDS].shape or array.dtype.kind not in "iub":
            raise DataError(
                f"{where}: array {name!r} has shape {list(array.shape)} and type {array.dtype}, and {IDS} "
                f"{list(found[IDS].shape)}. Both are whole numbers [samples, tokens]: fill short rows up, and mark "
                f"with 0 in {MASK} what is none."
            )
        if array.min(initial=0) < 0:
            row = np.flatnonzero((array < 0).any(axis=1))[0]
            raise DataError(
                f"{where}: array {name!r}, row {row}, holds {array[row].min()}, and tokens are numbers from 0. Where a "
                "place has no label, the labels say so, by -100."
            )
    return TokenArray({name: array.astype(np.int64) for name, array in found.items()}, vocabulary)
