"""A student's name and place, and the weights that a search chose for it."""

import json
from pathlib import Path

import pytest

from kantor.core.errors import DataError
from kantor.study.execution.job import Job, tuned_factor
from kantor.study.settings.methods import parse_methods


def test_a_student_of_the_comparison():
    (method,) = parse_methods("kd")
    job = Job(method, 3)
    assert job.label == "kd, seed 3"
    assert job.folder(Path("run")) == Path("run/kd/seed-3")


def test_a_trial_lies_apart_and_says_its_factor():
    (method,) = parse_methods("kd+neuron_transport:0.5")
    job = Job(method, 0, 0.25)
    assert job.label == f"{method.name} x 0.25, seed 0"
    assert job.folder(Path("run")) == Path("run/tuning/x0.25") / method.folder / "seed-0"
    assert job.folder(Path("run")) != Job(method, 0, 0.5).folder(Path("run"))


def test_methods_lie_apart_whatever_stands_in_their_names():
    methods = parse_methods("none,kd,kd:2,kd@temperature=2,kd+sp,sp@paper")
    places = [Job(method, 0).folder(Path("run")) for method in methods]
    assert len(set(places)) == len(methods)
    assert all(place.parts[0] == "run" and len(place.parts) == 3 and ".." not in place.parts for place in places)


def test_the_factor_that_was_chosen(tmp_path):
    kd, sp = parse_methods("kd,sp")
    assert tuned_factor(tmp_path, kd) == 1.0
    tuned = {name: {"chosen": factor, "trials": []} for name, factor in (("kd", 4.0), ("sp", 0.25))}
    (tmp_path / "tuning.json").write_text(json.dumps(tuned))
    assert (tuned_factor(tmp_path, kd), tuned_factor(tmp_path, sp)) == (4.0, 0.25)
    (tmp_path / "tuning.json").write_text(json.dumps({"kd": {"chosen": "much"}}))
    with pytest.raises(DataError):
        tuned_factor(tmp_path, kd)
