import json
from types import SimpleNamespace

import numpy as np
import pytest

from kantor.study.teachers.doubts import doubt


class _Part(SimpleNamespace):
    def __len__(self):
        return len(self.targets)


TEN = _Part(targets=np.arange(100) % 10)
TWO = _Part(targets=np.array([0] * 80 + [1] * 20))


@pytest.mark.parametrize(
    ("share", "test", "doubted"),
    [(0.1, TEN, True), (0.18, TEN, True), (0.25, TEN, False), (0.81, TWO, True), (0.9, TWO, False), (None, TEN, False)],
)
def test_hardly_better_than_chance(share, test, doubted):
    said = doubt("big", "cnn:a.pt", share, test)
    assert (said is not None) == doubted
    if said:
        assert "!!! WARNING: teacher big is right on" in said


def test_one_that_was_trained_here_is_told_to_train_on():
    said = doubt("big", "cnn:a.pt", 0.1, TEN, trained_here=True) or ""
    assert "--teacher-epochs" in said
    assert "--teacher-classes" not in said


def test_far_worse_than_recorded(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"accuracy": 0.977}))
    spec = f"mlp:{tmp_path / 'student.safetensors'}"
    assert "beside its weights stands 97.7 %" in (doubt("teacher", spec, 0.827, TEN) or "")
    assert doubt("teacher", spec, 0.95, TEN) is None
    assert doubt("teacher", f"mlp:{tmp_path / 'other.safetensors'}", 0.827, TEN) is None
    (tmp_path / "result.json").write_text("[")
    assert doubt("teacher", spec, 0.827, TEN) is None


def test_of_a_class_for_every_token_those_without_one_do_not_count():
    tags = _Part(targets=np.array([[0, 1, -100, -100], [1, 0, -100, -100]] * 5))
    assert "the commonest class alone is 50.0 % of it" in (doubt("big", "cnn:a.pt", 0.5, tags) or "")
    assert doubt("big", "cnn:a.pt", 0.6, tags) is None
    assert doubt("big", "cnn:a.pt", 0.1, _Part(targets=np.full((3, 2), -100))) is None
