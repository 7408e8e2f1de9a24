"""One student, made from the run's folder alone."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

import kantor
from kantor.core.errors import ConfigError
from kantor.core.locks import locked
from kantor.objective import CachedTeacher, LiveTeacher
from kantor.study.execution import student
from kantor.study.execution.job import Job
from kantor.study.execution.step_zero import prepare
from kantor.study.execution.student import Workbench, data_for, new_student
from kantor.study.resume.claim import claim
from kantor.study.settings.resolved import resolve
from small import settings


def ignore(event: object) -> None:
    """Nobody looks at progress."""


def prepared(folder: Path, **changes) -> Path:
    """A run after step 0."""
    study = resolve(settings(folder, **changes))
    run = claim(study.settings)
    prepare(study, study.open_data(), run, ignore, ignore)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    return prepared(folder, methods="none,kd", teacher="mlp@hidden=8", cache="on", tune=[0.5, 1.0])


def test_every_process_makes_the_same_student(run):
    first, second = (new_student(Workbench(run).study, Workbench(run).data, 3)[0] for _ in range(2))
    assert first.weights_digest() == second.weights_digest()
    other, _ = new_student(Workbench(run).study, Workbench(run).data, 4)
    assert other.weights_digest() != first.weights_digest()


def test_a_student_is_trained_once_and_left_in_its_folder(run):
    bench = Workbench(run)
    job = Job(bench.methods["kd"], 0)
    events: list[dict] = []
    bench.train(job, events.append)
    result = json.loads((job.folder(run) / "result.json").read_text())
    assert result["weights"] == {"task": 0.1, "kd": 0.9}
    assert set(result["files"]) == {"student.safetensors", "metrics.jsonl"}
    assert events and kantor.load(str(job.folder(run) / "student.safetensors")).class_names == ["0", "1"]
    Workbench(run).train(job, lambda event: pytest.fail(f"trained again: {event}"))


def test_a_trial_has_its_factor_and_is_not_judged(run):
    bench = Workbench(run)
    job = Job(bench.methods["kd"], 1000, 0.5)
    bench.train(job, ignore)
    result = json.loads((job.folder(run) / "result.json").read_text())
    assert result["weights"]["kd"] == pytest.approx(0.45)
    assert result["accuracy"] is None and result["validation"] is not None


def test_a_trial_that_is_not_finite_is_kept_as_one(tmp_path):
    run = prepared(tmp_path, methods="none", tune=[1.0, 1e30], clip=None)
    bench = Workbench(run)
    bench.train(Job(bench.methods["none"], 1000, 1e30), ignore)
    result = json.loads((Job(bench.methods["none"], 1000, 1e30).folder(run) / "result.json").read_text())
    assert result["validation"] == 0.0 and "not finite" in result["diverged"]


def test_another_process_has_it(run, monkeypatch):
    monkeypatch.setattr(student, "locked", partial(locked, patience=0.0))
    bench = Workbench(run)
    job = Job(bench.methods["none"], 0)
    job.folder(run).mkdir(parents=True, exist_ok=True)
    with locked(job.folder(run)), pytest.raises(ConfigError, match="seed-0"):
        bench.train(job, ignore)


def test_teachers_are_read_from_what_was_kept_or_run(run, tmp_path):
    assert isinstance(Workbench(run).teachers["teacher"], CachedTeacher)
    other = prepared(tmp_path, methods="kd", teacher="mlp@hidden=8", cache="off")
    assert isinstance(Workbench(other).teachers["teacher"], LiveTeacher)
    bench = Workbench(run)
    samples = bench.plan_samples
    assert samples is None or isinstance(next(iter(samples.teachers.values())), CachedTeacher)


def test_without_a_task_labels_are_out_of_sight_unless_a_method_has_one(tmp_path):
    study = resolve(settings(tmp_path, task="none", methods="none,task:1"))
    data = study.open_data()
    alone, supervised = study.methods
    assert not data_for(alone, study, data).train.labelled
    assert data_for(supervised, study, data) is data
    judged = resolve(settings(tmp_path))
    assert data_for(judged.methods[0], judged, data) is data


def test_an_untrained_student_is_what_it_began_as(tmp_path):
    run = prepared(tmp_path, task="none", methods="none", seeds=1)
    bench = Workbench(run)
    bench.train(Job(bench.methods["none"], 0), ignore)
    began, _ = new_student(bench.study, bench.data, 0)
    ended = kantor.load(str(run / "none" / "seed-0" / "student.safetensors"))
    for name, value in began.network.state_dict().items():
        assert torch.equal(value, ended.network.state_dict()[name]), name


def test_a_run_before_step_0(tmp_path):
    run = claim(resolve(settings(tmp_path)).settings)
    with pytest.raises(ConfigError, match=r"no plan\.json"):
        Workbench(run)
