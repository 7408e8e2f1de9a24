"""A run's files are of the types that they are read back as."""

import json
from typing import Any

import pytest

from kantor.core.errors import DataError
from kantor.core.reading import parse_json, read_json
from kantor.results import records
from kantor.study import run_study
from tests.study.small import console, settings

FILES: dict[str, Any] = {
    "summary.json": records.Summary,
    "step0.json": records.StepZeroKept,
    "plan.json": records.KeptPlan,
    "began.json": records.Began,
    "environment.json": records.Shown,
    "tuning.json": dict[str, records.Tuned],
    "kd/seed-0/result.json": records.Finished,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    study = settings(folder, methods="none,kd", teacher="mlp@hidden=8", seeds=1, epochs=1, tune=[0.5, 1.0])
    run_study(study, console())
    return study.folder()


@pytest.mark.parametrize("name", FILES)
def test_what_a_run_leaves_is_what_is_read(run, name):
    content = read_json(run / name, FILES[name])
    assert content
    later = json.dumps(content | {"of_a_later_version": 1}) if name != "tuning.json" else json.dumps(content)
    assert parse_json(later, name, FILES[name])


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("summary.json", {"methods": {"kd": {"seeds": "0"}}}, "methods.*kd"),
        ("summary.json", {"methods": {"kd": {"collapsed": {"0": "x"}}}}, "methods.kd"),
        ("kd/seed-0/result.json", {"collapse": {"epoch": 1}}, "signs"),
        ("plan.json", {"threads": "two"}, "threads"),
        ("plan.json", {"bound": {"kd": [{"name": "kd"}]}}, "bound.*kd"),
        ("kd/seed-0/result.json", {"accuracy": "high"}, "accuracy"),
        ("environment.json", {"packages": ["torch"]}, "packages"),
        ("tuning.json", {"kd": {"chosen": None}}, "kd"),
    ],
)
def test_what_is_of_another_type_is_named(run, name, change, says):
    content = read_json(run / name, FILES[name]) | change
    with pytest.raises(DataError, match=says):
        parse_json(json.dumps(content), name, FILES[name])


@pytest.mark.parametrize("lacking", ["threads", "pairs", "bound"])
def test_what_is_required_cannot_be_left_out(run, lacking):
    content = read_json(run / "plan.json", records.KeptPlan)
    del content[lacking]
    with pytest.raises(DataError, match=lacking):
        parse_json(json.dumps(content), "plan.json", records.KeptPlan)
