"""Texts by row: which file each came from, and which say nothing."""

from pathlib import Path

import numpy as np
import pytest

from kantor.data.texts import Texts

pa = pytest.importorskip("pyarrow")


def texts(*pieces: list[str | None]) -> Texts:
    column = pa.chunked_array([pa.array(piece, pa.large_string()) for piece in pieces])
    return Texts(column, [(Path(f"{name}.tsv"), len(piece)) for name, piece in zip("ab", pieces, strict=False)])


def test_rows_keep_their_files():
    every = texts(["one", "two"], ["three", "four"])
    some = every.take(np.array([1, 3]))
    assert some.read(np.array([1, 0])) == ["four", "two"]
    assert [some.describe(row) for row in range(2)] == ["a.tsv, row 1", "b.tsv, row 1"]
    assert some.take(np.array([1])).read(np.array([0])) == ["four"]
    assert [*some.pieces()] == [["two", "four"]]


def test_blank_texts_are_found():
    assert texts(["one", " \t", None, ""]).blank().tolist() == [1, 2, 3]


def test_a_digest_is_of_the_texts_at_its_rows():
    one, other = texts(["one", "two"]), texts(["two", "one"])
    rows = np.array([0, 1])
    assert one.digest(rows) != other.digest(rows)
    assert one.digest(rows) == other.digest(rows[::-1])
    assert texts(["ab", "c"]).digest(rows) != texts(["a", "bc"]).digest(rows)
