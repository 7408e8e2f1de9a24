"""Tokens in an array of their own."""

import numpy as np
import pytest
import torch

import kantor
from kantor.core.errors import DataError
from kantor.data.token_array import TokenArray, token_array

IDS = np.arange(1, 25).reshape(6, 4) % 9
MASK = np.tile([1, 1, 1, 0], (6, 1))


def written(path, **arrays):
    np.savez(path / "tokens.npz", **({"input_ids": IDS, "y": np.arange(6) % 2} | arrays))
    return path / "tokens.npz"


def test_they_are_whole_numbers_by_the_names_of_a_networks_arguments(tmp_path):
    data = kantor.open_data(written(tmp_path, attention_mask=MASK), validation=0)
    assert data.train.input_shapes == {"student": (4, 9), "teacher": (4, 9)}
    seen = data.train.read(np.arange(2))["student"]
    assert set(seen) == {"input_ids", "attention_mask"}
    assert seen["input_ids"].dtype == torch.int64
    assert (seen["input_ids"].numpy() == IDS[data.train.ids[:2]]).all()
    assert (seen["attention_mask"].numpy() == MASK[:2]).all()


def test_without_a_mask_every_token_counts(tmp_path):
    data = kantor.open_data(written(tmp_path), validation=0)
    assert (data.train.read(np.arange(2))["student"]["attention_mask"] == 1).all()


def test_parts_share_a_vocabulary(tmp_path):
    parts = {"input_ids_train": IDS, "y_train": np.arange(6) % 2, "input_ids_test": IDS[:2] + 5, "y_test": [0, 1]}
    np.savez(tmp_path / "parts.npz", **parts)
    data = kantor.open_data(tmp_path / "parts.npz", validation=0)
    assert data.train.input_shapes["student"] == data.part("test").input_shapes["student"] == (4, 14)


def test_beside_other_arrays_a_view_says_which_is_seen(tmp_path):
    path = written(tmp_path, pictures=np.zeros((6, 3), np.float32))
    with pytest.raises(kantor.KantorError, match=r"several views: input_ids \[4\], pictures \[3\]"):
        kantor.open_data(path)
    data = kantor.open_data(path, views={"student": "input_ids", "teacher": "pictures"}, validation=0)
    assert data.train.input_shapes == {"student": (4, 9), "teacher": (3,)}


def test_a_digest_is_of_what_rows_hold():
    whole = TokenArray({"input_ids": IDS}, 9)
    assert whole.digest(np.array([2, 4])) == whole.take(np.array([2, 4])).digest(np.arange(2))
    assert whole.digest(np.arange(6)) != TokenArray({"input_ids": IDS, "attention_mask": MASK}, 9).digest(np.arange(6))
    assert whole.digest(np.arange(6)) != TokenArray({"input_ids": IDS}, 10).digest(np.arange(6))


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"input_ids": IDS.astype(np.float32)}, "whole numbers"),
        ({"input_ids": IDS[:, 0]}, r"shape \[6\]"),
        ({"input_ids": IDS, "attention_mask": MASK[:, :2]}, r"attention_mask.*\[6, 2\].*\[6, 4\]"),
        ({"input_ids": IDS - 3}, "row 0, holds -2"),
    ],
)
def test_what_are_no_tokens_is_refused(arrays, says):
    with pytest.raises(DataError, match=says):
        token_array(arrays, 9, "the file")
