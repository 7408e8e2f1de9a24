"""Dashboards are told what metrics.jsonl is told, under the student's name; results do not depend on them."""

import json
from typing import Any

import pytest
from accelerate.tracking import GeneralTracker

from kantor.core.errors import ConfigError
from kantor.study import Study
from kantor.training.trackers import Trackers, accelerator_settings, tracker_names
from runs import distill, kantor


def test_names(monkeypatch):
    assert tracker_names(None) == []
    with pytest.raises(ConfigError, match=r"no tracker 'tensorbord'\. Close to it: tensorboard"):
        tracker_names("tensorbord")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "wandb" else object())
    assert tracker_names("tensorboard, mlflow") == ["tensorboard", "mlflow"]
    with pytest.raises(ConfigError, match="pip install wandb"):
        tracker_names("mlflow,wandb")


def test_results_do_not_depend_on_it():
    study = {"data": "digits", "student": "cnn"}
    assert Study(**study).digest() == Study(**study, trackers="tensorboard").digest()


def test_settings_that_came_later_part_no_runs_that_were_begun_before():
    """The digest is the one of a kantor without them, and another where they change something."""
    study = Study(data="digits", student="cnn")
    assert not {"validate_every", "tune_lr"} & set(study.telling())
    changed = [Study(data="digits", student="cnn", validate_every=3), Study(data="digits", student="cnn", tune_lr=[1])]
    assert len({one.digest() for one in (study, *changed)}) == 3


class Recorder(GeneralTracker):
    """Keeps what it is told."""

    name = "recorder"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__(_blank=True)
        self.told: list[Any] = []

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.told.append(values)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.told.append((step, values))

    def finish(self) -> None:
        self.told.append("finished")


def test_lines_are_passed_on_and_finished_whatever_happens(tmp_path):
    from accelerate import Accelerator

    recorder = Recorder()
    accelerator = Accelerator(cpu=True, log_with=recorder)
    study = Study(data="digits", student="cnn", epochs=3)
    trackers = Trackers(accelerator, tmp_path / "run" / "kd" / "seed-0", study)
    with pytest.raises(RuntimeError, match="killed"), trackers:
        trackers.log({"epoch": 1, "step": 8, "train/loss": 0.5})
        raise RuntimeError("killed")
    settings, line, end = recorder.told
    assert settings["epochs"] == 3
    assert "freeze" not in settings  # not set: no dashboard can show it
    assert line == (8, {"epoch": 1, "train/loss": 0.5})
    assert end == "finished"


def test_silent_where_none_is_asked_for(tmp_path):
    from accelerate import Accelerator

    assert accelerator_settings(None, tmp_path) == {}
    with Trackers(Accelerator(cpu=True), tmp_path, Study(data="digits", student="cnn")) as trackers:
        trackers.log({"epoch": 1, "step": 8})
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_holds_the_metrics(tmp_path):
    pytest.importorskip("tensorboard", reason="needs tensorboard: pip install 'kantor[tensorboard]'")
    settings = {
        "methods": "none",
        "epochs": "2",
        "log_every": "0",
        "train_limit": "100",
        "unlabelled": None,
        "unlabelled_batch": None,
        "teacher": None,
        "cache": "off",
    }
    done = kantor(*distill("tracked", **settings, teacher_epochs=None, trackers="tensorboard"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    student = tmp_path / "tracked" / "none" / "seed-0"
    events = EventAccumulator(str(student / "trackers" / "tracked"))
    events.Reload()
    lines = [json.loads(line) for line in (student / "metrics.jsonl").read_text().splitlines()]
    seen = {event.step: event.value for event in events.Scalars("train/loss")}
    assert seen == pytest.approx({line["step"]: line["train/loss"] for line in lines if "train/loss" in line}, rel=1e-6)
    assert len(seen) == 2
