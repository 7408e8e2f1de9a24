"""Teachers of a study: trained once, found again, and judged by what students are judged by."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kantor
from kantor.core.errors import ConfigError, DataError, NonFiniteError
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.teachers import find
from kantor.study.teachers.find import Source, find_teachers, model_for, score_on_test
from small import settings


def ignore(event: dict[str, Any]) -> None:
    """Nobody looks at progress."""


def found(folder: Path, spec: str = "mlp@hidden=6", **changes) -> list[Source]:
    """The teachers of a small study."""
    study = ResolvedStudy(settings(folder, teacher=spec, **changes))
    return find_teachers(study, study.open_data(), folder / "teachers", ignore)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder in which a teacher was trained."""
    folder = tmp_path_factory.mktemp("teachers")
    found(folder)
    return folder


@pytest.fixture
def no_training(monkeypatch):
    def train(*_: Any, **__: Any) -> None:
        raise AssertionError("a teacher that is there was trained again")

    monkeypatch.setattr(find, "train", train)


def test_a_teacher_is_trained_once(trained, no_training):
    (source,) = found(trained)
    weights = Path(source.spec.partition(":")[2])
    assert (source.name, weights.parent.parent) == ("teacher", trained / "teachers")
    assert source.seconds == json.loads((weights.parent / "result.json").read_text())["seconds"]
    # What a student sees and how it is trained does not make another teacher.
    others = {
        "labels_per_class": 5,
        "epochs": 9,
        "lr": 0.5,
        "student": "mlp@hidden=2",
        "seeds": 7,
        "methods": "none,kd",
    }
    assert found(trained, **others)[0].spec == source.spec


@pytest.mark.parametrize("changes", [{"teacher_epochs": 3}, {"teacher_lr": 0.2}, {"batch_size": 30}])
def test_other_training_is_another_teacher(trained, no_training, changes):
    with pytest.raises(AssertionError, match="was trained again"):
        found(trained, **changes)


def test_what_students_are_validated_on_is_new_to_their_teacher(tmp_path):
    (source,) = found(tmp_path, labels_per_class=5)
    assert source.saw == "54 samples"  # of 60, without the 6 of validation
    seen = json.loads((Path(source.spec.partition(":")[2]).parent / "teacher.json").read_text())["data"]
    everything = ResolvedStudy(settings(tmp_path, validation=0.0)).open_data().train
    assert seen != everything.fingerprint
    (again,) = found(tmp_path, validation=0.0)
    assert again.saw == "60 samples"


def test_a_teacher_that_was_changed_since_is_refused(tmp_path):
    (source,) = found(tmp_path)
    weights = Path(source.spec.partition(":")[2])
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(DataError, match=r"teacher\.safetensors was changed or damaged"):
        found(tmp_path)


def test_weights_that_are_given_are_taken_as_they_are(tmp_path, trained, no_training):
    given = tmp_path / "own.safetensors"
    kantor.load("mlp@hidden=6", classes=2, input_shape=(4,)).save(given)
    (source,) = found(trained, f"mlp@hidden=6:{given}", teacher_classes="x,y")
    assert (source.classes, source.seconds) == (["x", "y"], None)
    assert source.saw == "data that is not known, since its weights were given"


def test_no_labels_to_train_with(tmp_path):
    np.savez(tmp_path / "bare.npz", x_train=np.zeros((30, 4), np.float32), x_test=np.zeros((9, 4), np.float32))
    with pytest.raises(ConfigError, match=r"has no labels to train a teacher with.*teacher:FILE"):
        found(tmp_path, data=str(tmp_path / "bare.npz"), task="none")


def test_a_loss_that_is_not_finite_names_the_teacher_and_its_rate(tmp_path):
    with pytest.raises(NonFiniteError, match=r"Teacher teacher, trained at teacher_lr 1e\+30"):
        found(tmp_path, teacher_lr=1e30)


def test_a_student_is_of_the_datas_classes_and_its_normaliser_fitted(tmp_path):
    data = ResolvedStudy(settings(tmp_path)).open_data()
    model = model_for("mlp@hidden=3", data, "student", ["p", "q"])
    assert model.class_names == data.classes and not model.needs_fit
    x = data.train.read(np.arange(len(data.train)))["student"]
    assert torch.allclose(model.normalise(x).mean(0), torch.zeros(4), atol=1e-5)


def test_the_score_is_kept_for_the_next_run(tmp_path, monkeypatch):
    study = ResolvedStudy(settings(tmp_path))
    data = study.open_data()
    model = model_for("mlp@hidden=3", data, "teacher")
    (tmp_path / "cache").mkdir()
    torn = tmp_path / "cache" / ".accuracy.json.0a.partial"  # a study was killed here
    torn.touch()
    score = score_on_test("teacher", model, data, tmp_path / "cache", study)
    assert not torn.exists()
    assert score in {k / 20 for k in range(21)}
    monkeypatch.setattr(find, "evaluate", None)
    assert score_on_test("teacher", model, data, tmp_path / "cache", study) == score
    (kept,) = (tmp_path / "cache").glob("*.json")
    kept.write_text("{")
    with pytest.raises(DataError, match=f"Delete {kept}"):
        score_on_test("teacher", model, data, tmp_path / "cache", study)


def test_teachers_of_other_classes_have_no_score(tmp_path):
    study = ResolvedStudy(settings(tmp_path))
    data = study.open_data()
    for classes in (["x", "y"], ["1", "0"], 3):
        model = kantor.load("mlp@hidden=3@normalise=none", classes=classes, input_shape=(4,))
        assert score_on_test("teacher", model, data, tmp_path, study) is None
    two = kantor.load("mlp@hidden=3@normalise=none", classes=2, input_shape=(4,))  # as many, and unnamed
    assert score_on_test("teacher", two, data, tmp_path / "cache", study) is not None
    assert score_on_test("teacher", two, replace(data, test=None), tmp_path, study) is None
