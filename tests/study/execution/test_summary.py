"""summary.json: what every finished seed reached, and what is said of those that are not."""

import json
from pathlib import Path
from typing import Any

import pytest

from kantor.study import Study
from kantor.study.execution.job import Job
from kantor.study.execution.summary import summarise
from kantor.study.settings.resolved import ResolvedStudy


def run_of(folder: Path, reached: dict[str, dict[int, float]], **changes) -> Any:
    """The summary of a run in which so much was reached, by method and seed; written, and read back."""
    settings = {"data": "digits", "student": "cnn", "methods": ",".join(reached), "seeds": 2}
    study = ResolvedStudy(Study(**(settings | changes)))
    metric = study.scale.name
    for method in study.methods:
        for seed, value in reached[method.name].items():
            place = Job(method, seed).folder(folder)
            place.mkdir(parents=True)
            known = {"accuracy": value if metric == "accuracy" else None, "metrics": {metric: value, "other": seed}}
            (place / "result.json").write_text(json.dumps(known | {"seconds": 1.0 + seed}))
    found = summarise(folder, study, list(study.methods), {"data": {"classes": 10}})
    assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(found))
    return found


def test_every_seed_is_paired_with_the_student_alone(tmp_path):
    found = run_of(tmp_path, {"none": {0: 0.5, 1: 0.75}, "kd": {0: 0.75, 1: 0.875}})
    assert found["complete"] and list(found["methods"]) == ["none", "kd"]
    assert found["methods"]["none"]["difference"] is None
    kd = found["methods"]["kd"]
    assert (kd["values"], kd["mean"], kd["seconds"]) == ([0.75, 0.875], 0.8125, 1.5)
    assert (kd["difference"]["mean"], kd["difference"]["seeds"]) == (0.1875, [0, 1])
    assert found["metric"] == {"name": "accuracy", "unit": "%", "higher_is_better": True}
    assert found["data"] == {"classes": 10}


def test_what_is_unfinished_is_said_and_only_pairs_are_compared(tmp_path):
    found = run_of(tmp_path, {"none": {1: 0.75}, "kd": {0: 0.125, 1: 0.875}, "sp": {}})
    assert not found["complete"]
    assert list(found["methods"]) == ["none", "kd"]
    kd = found["methods"]["kd"]
    assert (kd["seeds"], kd["difference"]["seeds"], kd["difference"]["mean"]) == ([0, 1], [1], 0.125)
    assert found["methods"]["none"]["interval"] is None


def test_a_seed_that_was_not_asked_for_does_not_count(tmp_path):
    run_of(tmp_path, {"none": {0: 0.5, 1: 0.5, 7: 1.0}})
    assert json.loads((tmp_path / "summary.json").read_text())["methods"]["none"]["seeds"] == [0, 1]


def test_the_tasks_metric_and_the_others(tmp_path):
    found = run_of(tmp_path, {"none": {0: 2.0, 1: 4.0}}, task="regression")
    assert (found["metric"]["name"], found["metric"]["higher_is_better"]) == ("RMSE", False)
    assert [other["name"] for other in found["other_metrics"]] == ["R2"]
    row = found["methods"]["none"]
    assert (row["values"], row["accuracy"], row["others"]) == ([2.0, 4.0], None, {"other": 0.5})


def test_without_a_task_nothing_is_reached(tmp_path):
    found = run_of(tmp_path, {"none": {0: 0.1, 1: 0.2}}, task="none")
    assert found["task"] == "none" and found["metric"] is None
    row = found["methods"]["none"]
    assert row["values"] is row["mean"] is row["interval"] is None
    assert row["seconds"] == 1.5


def test_when_it_began_and_what_step_0_took(tmp_path):
    (tmp_path / "environment.json").write_text(json.dumps({"started": "2026-11-30T12:00:00+00:00"}))
    lines = [("teachers", 2.0), ("caches", 1.0), ("teachers", 0.5)]
    (tmp_path / "timing.jsonl").write_text("".join(f'{{"stage": "{s}", "seconds": {n}}}\n' for s, n in lines))
    found = run_of(tmp_path, {"none": {}})
    assert found["started"] == "2026-11-30T12:00:00+00:00"
    assert found["seconds"] == pytest.approx({"teachers": 2.5, "caches": 1.0})
