"""Texts by row, as Arrow holds them."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 4096
"""Texts that are Python's at one time."""


class Texts:
    """Texts in a column of one or several files, which stays as Arrow has it: a few are made Python's when read.

    Args:
        column: of text, all files one after the other.
        files: each with its number of rows, for messages.
        rows: those that are meant, ascending; None for all.
        what: one of them, for messages: a ``row`` of its file, or a ``piece``.
    """

    on_demand = False
    shape: tuple[int, ...] = ()

    def __init__(
        self,
        column: "pa.ChunkedArray",
        files: Sequence[tuple[Path, int]],
        rows: np.ndarray | None = None,
        *,
        what: str = "row",
    ):
        self.column, self.files, self.what = column, list(files), what
        self.rows = np.arange(len(column)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Int64[np.ndarray, " n"]) -> "Texts":
        """Those at ``rows``."""
        return Texts(self.column, self.files, self.rows[rows], what=self.what)

    def read(self, rows: Int64[np.ndarray, " n"]) -> list[str]:
        """The texts at ``rows``."""
        return self.column.take(self.rows[rows]).to_pylist()

    def pieces(self) -> Iterator[list[str]]:
        """All texts in order, some thousands at a time."""
        for start in range(0, len(self), _AT_ONCE):
            yield self.read(np.arange(start, min(start + _AT_ONCE, len(self))))

    def blank(self) -> Int64[np.ndarray, " blank"]:
        """Positions of the texts that are missing, or nothing but space."""
        found = [
            start * _AT_ONCE + place
            for start, piece in enumerate(self.pieces())
            for place, text in enumerate(piece)
            if text is None or not text.strip()
        ]
        return np.asarray(found, dtype=np.int64)

    def describe(self, row: int) -> str:
        """The file and the row in it, from 0."""
        place = int(self.rows[row])
        for path, size in self.files:
            if place < size:
                return f"{path}, {self.what} {place}"
            place -= size
        raise IndexError(row)

    def digest(self, rows: Int64[np.ndarray, " n"]) -> str:
        """SHA-256 of the texts at ``rows``."""
        digest = hashlib.sha256()
        for piece in self.take(rows).pieces():
            digest.update("".join(f"{len(text)} {text}" for text in piece).encode())
        return digest.hexdigest()
