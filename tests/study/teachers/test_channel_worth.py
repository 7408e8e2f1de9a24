"""What a teacher's channels are worth, as a run keeps it."""

import numpy as np
import pytest
import torch

from kantor.core.errors import DataError
from kantor.study.teachers.channel_worth import read_worth, write_worth


def test_worth_is_kept(tmp_path):
    assert read_worth(tmp_path) == {}
    write_worth(tmp_path, {("a/b", "layer1.0"): torch.rand(3)})
    assert [*read_worth(tmp_path)] == [("a/b", "layer1.0")]


@pytest.mark.parametrize(
    "arrays", [{"a": np.ones(3)}, {"a/b": np.array(["x"])}, {"a/b": np.ones((2, 2))}, {"a/b": np.array([np.nan])}]
)
def test_damage_is_said(tmp_path, arrays):
    np.savez(tmp_path / "channel-worth.npz", **arrays)
    with pytest.raises(DataError, match=r"channel-worth\.npz holds no channels' worth.*`kantor resume`"):
        read_worth(tmp_path)
