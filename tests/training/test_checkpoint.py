"""Checkpoints that cannot be used say what to do."""

import pytest

from kantor.core.errors import ConfigError
from kantor.training import checkpoint


def test_a_checkpoint_of_another_run_or_a_damaged_one_names_a_remedy_that_exists(tmp_path):
    path = tmp_path / "seed-0" / "checkpoints" / "last.pt"
    checkpoint.save(path, checkpoint.Position(step=3), {"objective": {}}, "one")
    position, _ = checkpoint.load(path, "one")
    assert position.step == 3
    with pytest.raises(ConfigError, match=rf"other settings\. Delete {path.parent.parent} to train this seed"):
        checkpoint.load(path, "other")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=rf"damaged or cut short.*Delete {path.parent.parent}"):
        checkpoint.load(path, "one")
    with pytest.raises(ConfigError, match=r"best\.pt is missing"):
        checkpoint.required(path.with_name("best.pt"), "one")
