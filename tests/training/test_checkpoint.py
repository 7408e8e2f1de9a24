"""Checkpoints that cannot be used say what to do."""

import hashlib
import io

import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.training import checkpoint


def test_a_checkpoint_of_another_run_or_a_damaged_one_names_a_remedy_that_exists(tmp_path):
    path = tmp_path / "seed-0" / "checkpoints" / "last.pt"
    checkpoint.save(path, checkpoint.Position(step=3), {"objective": {}}, "one")
    found = checkpoint.load(path, "one")
    assert found is not None and found[0].step == 3
    with pytest.raises(ConfigError, match=rf"other settings\. Delete {path.parent.parent} to train this seed"):
        checkpoint.load(path, "other")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=rf"damaged or cut short.*Delete {path.parent.parent}"):
        checkpoint.load(path, "one")
    with pytest.raises(ConfigError, match=r"best\.pt is missing"):
        checkpoint.required(path.with_name("best.pt"), "one")


def test_a_checkpoint_from_when_accuracy_was_the_only_metric_goes_on(tmp_path):
    path = tmp_path / "seed-0" / "checkpoints" / "last.pt"
    old = {"step": 3, "sums": {"loss": 90.0, "accuracy": 15.0, "samples": 30.0}, "accuracy": 0.4, "best_accuracy": 0.5}
    buffer = io.BytesIO()
    torch.save({"run": "one", "position": old, "objective": {}}, buffer)
    path.parent.mkdir(parents=True)
    path.write_bytes(buffer.getvalue() + b"\nkantor-sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest().encode())
    found = checkpoint.load(path, "one")
    assert found is not None
    position = found[0]
    assert (position.step, position.reached, position.best, position.sums) == (
        3,
        0.4,
        0.5,
        {"loss": 90.0, "samples": 30.0},
    )
    assert position.counts["accuracy"].tolist() == [15.0, 30.0]
