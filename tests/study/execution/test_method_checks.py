"""Every method tried on one batch: what is kept of it, and what becomes of one that cannot be used."""

from pathlib import Path

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.data import Batch, DataSet
from kantor.objective import Read
from kantor.study.execution.method_checks import MethodCheck, check_untrained
from kantor.study.settings.resolved import ResolvedStudy, resolve
from kantor.study.teachers.find import model_for
from kantor.training.batches import training_batches
from small import settings


@pytest.fixture
def look(tmp_path):
    """Makes a study of one teacher, its data and a batch."""

    def make(methods: str, **changes) -> tuple[ResolvedStudy, DataSet, Batch]:
        study = resolve(settings(tmp_path, **({"methods": methods, "teacher": "mlp@hidden=8"} | changes)))
        data = study.open_data()
        return study, data, next(training_batches(data, study.settings, 0, transfers=True).epoch(0))

    return make


def check_of(study: ResolvedStudy, data: DataSet, batch: Batch, cached: bool = False) -> MethodCheck:
    models = {name: model_for(spec, data, "teacher") for name, spec in study.teachers.items()}
    return MethodCheck(study, data, models, {}, batch, study.starts, cached)


def test_what_is_found_of_every_method(look):
    study, data, batch = look("none,kd,neuron_transport")
    said: list[str] = []
    found = check_of(study, data, batch, cached=True).every(list(study.methods), said.append)
    assert list(found.bound) == list(found.step0) == ["none", "kd", "neuron_transport"]
    assert found.left_out == {}
    assert found.bound["none"] == []
    (kd,), (shallow, transport) = found.bound["kd"], found.bound["neuron_transport"]
    assert (kd["student"], kd["teacher"]) == ("logits", "teacher:logits")
    assert (shallow["student"], shallow["teacher"]) == ("layers.0", "teacher:layers.0")
    assert (transport["student"], transport["teacher"]) == ("layers.1", "teacher:layers.1")
    assert found.reads == {"teacher": {Read("logits"), *(Read(f"layers.{k}", pooled=True) for k in (0, 1))}}
    assert [text.split("\n")[1] for text in said] == list(found.bound)
    assert "cached, keyed by" in said[1] and "Teacher" not in said[0]


def test_looking_changes_nothing_that_a_student_begins_with(look):
    study, data, batch = look("neuron_transport")
    check = check_of(study, data, batch)
    first, second = (check.one(study.methods[0])[0] for _ in range(2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_a_method_that_cannot_be_used_is_refused_or_left_out(look):
    study, data, batch = look("none,fsp,kd")
    with pytest.raises(ShapeError, match="fsp compares maps"):
        check_of(study, data, batch).every(list(study.methods), lambda _: None)
    study, data, batch = look("none,fsp,kd", unfit="skip")
    said: list[str] = []
    found = check_of(study, data, batch).every(list(study.methods), said.append)
    assert list(found.bound) == ["none", "kd"]
    assert list(found.left_out) == ["fsp"] and "fsp compares maps" in found.left_out["fsp"]
    assert any(text == f"\nfsp is left out: {found.left_out['fsp']}" for text in said)


def test_nothing_is_left(look):
    study, data, batch = look("fsp", unfit="skip")
    with pytest.raises(ConfigError, match=r"None of the methods can be used here\.\nfsp compares maps"):
        check_of(study, data, batch).every(list(study.methods), lambda _: None)


def untrained(look, tmp_path: Path, methods: str, **changes) -> None:
    study, data, batch = look(methods, **changes)
    check_untrained(study, data, batch, tmp_path / "cache", lambda _: None)


def test_what_a_teacher_cannot_be_used_for_is_known_before_it_is_trained(look, tmp_path):
    untrained(look, tmp_path, "none,kd,neuron_transport")
    with pytest.raises(ShapeError, match="fsp compares maps"):
        untrained(look, tmp_path, "none,kd,fsp")
    untrained(look, tmp_path, "none,kd,fsp", unfit="skip")
    with pytest.raises(ConfigError, match=r"None of the methods can be used here\.\nfsp compares maps"):
        untrained(look, tmp_path, "fsp", unfit="skip")


def test_what_waits_for_a_trained_teacher_is_no_reason_to_refuse(look, tmp_path):
    # A cost that is learned from what the teacher says, and a weight that its loss decides.
    untrained(look, tmp_path, "label_transport,kd:auto", label_cost="learned")


def test_a_teacher_with_weights_is_not_tried_twice(look, tmp_path):
    _, data, _ = look("fsp")
    weights = tmp_path / "t.safetensors"
    model_for("mlp@hidden=8", data, "teacher").save(weights)
    untrained(look, tmp_path, "fsp", teacher=f"mlp@hidden=8:{weights}")
