"""What a teacher's channels are worth, as a run keeps it."""

import numpy as np
import pytest
import torch

from kantor.core.errors import DataError
from kantor.study.teachers.channel_worth import read_worth, write_worth


def test_worth_is_kept(tmp_path):
    assert read_worth(tmp_path) == {}
    worth = {("a/b", "layer1.0"): torch.tensor([0.5, -0.25, 0.0]), ("c", "layer2"): torch.tensor([2.0])}
    write_worth(tmp_path, worth)
    found = read_worth(tmp_path)
    assert {key: value.tolist() for key, value in found.items()} == {
        ("a/b", "layer1.0"): [0.5, -0.25, 0.0], ("c", "layer2"): [2.0],
    }  # fmt: skip


@pytest.mark.parametrize(
    "arrays", [{"a": np.ones(3)}, {"a/b": np.array(["x"])}, {"a/b": np.ones((2, 2))}, {"a/b": np.array([np.nan])}]
)
def test_damage_is_said(tmp_path, arrays):
    np.savez(tmp_path / "channel-worth.npz", **arrays)
    with pytest.raises(DataError, match=r"channel-worth\.npz holds no channels' worth.*`kantor resume`"):
        read_worth(tmp_path)
