"""Step 0: what is refused before any work, what is decided and kept, and what is said."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.data import DataSet
from kantor.study.execution.step_zero import WITHOUT_TASK, prepare
from kantor.study.execution.student import Workbench, make_objective, new_student
from kantor.study.resume.claim import claim
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.resolved import ResolvedStudy, resolve
from kantor.training.batches import training_batches
from small import settings

Ready = tuple[ResolvedStudy, list[str], list[dict[str, Any]], list[str], dict[str, Any]]


def ready(folder: Path, opened: DataSet | None = None, **changes) -> Ready:
    """The study; what is said and told of it; the names of its methods, and facts for the summary."""
    study = resolve(settings(folder, **changes))
    run = claim(study.settings)
    said: list[str] = []
    told: list[dict[str, Any]] = []
    methods, facts = prepare(study, opened or study.open_data(), run, said.append, told.append)
    return study, said, told, [method.name for method in methods], facts


def test_what_is_decided_is_kept_for_every_process(tmp_path):
    changes = {"methods": "none,kd,neuron_transport", "teacher": "mlp@hidden=8", "cache": "on"}
    study, said, _, methods, facts = ready(tmp_path, **changes)
    run = study.settings.folder()
    assert methods == ["none", "kd", "neuron_transport"]
    plan = Prepared.read(run)
    assert list(plan.bound) == methods
    assert [(pair.student, pair.teacher, pair.source) for pair in plan.pairs] == [
        (f"layers.{k}", f"layers.{k}", "teacher") for k in (0, 1)
    ]
    assert plan.cached and plan.threads == 1
    assert {spec.shape for spec in plan.layers("teacher").values()} == {(2,), (8,)}
    (teacher,) = facts["teachers"]
    assert teacher["reached"] == teacher["accuracy"] and 0 <= teacher["accuracy"] <= 1
    kept = json.loads((run / "step0.json").read_text())
    assert list(kept["methods"]) == methods and kept["left_out"] == {}
    assert kept["metric"]["name"] == "accuracy"
    text = "\n".join(said)
    assert "54 train, 6 validation, 20 test; 2 classes" in text
    assert "Teacher teacher: mlp@hidden=8" in text and "Caching teacher's outputs" in text
    assert text.endswith("Each student trains on 1 thread.")
    assert [line["stage"] for line in map(json.loads, (run / "timing.jsonl").read_text().splitlines())] == [
        "teachers", "caches",
    ]  # fmt: skip


def test_the_same_is_decided_again_when_a_run_goes_on(tmp_path):
    changes = {"methods": "none,neuron_transport:auto", "teacher": "mlp@hidden=8"}
    study, *_ = ready(tmp_path, **changes)
    run = study.settings.folder()
    before = {name: (run / name).read_bytes() for name in ("plan.json", "step0.json")}
    *_, told, _, _ = ready(tmp_path, **changes)
    assert {name: (run / name).read_bytes() for name in before} == before
    assert not any("train/loss" in event for event in told), "its teacher was trained again"


def test_a_study_without_a_teacher_has_nothing_to_keep(tmp_path):
    study, said, told, _, facts = ready(tmp_path)
    plan = Prepared.read(study.settings.folder())
    assert (plan.teachers, plan.pairs, plan.cached, facts["teachers"], told) == ({}, [], False, [], [])
    assert not any("teacher" in text.lower() for text in said)


def test_methods_that_cannot_be_used_are_left_out_with_the_reason(tmp_path):
    study, _, _, methods, _ = ready(tmp_path, methods="none,fsp,kd", teacher="mlp@hidden=8", unfit="skip")
    assert methods == ["none", "kd"]
    left_out = json.loads((study.settings.folder() / "step0.json").read_text())["left_out"]
    assert list(left_out) == ["fsp"] and "fsp compares maps" in left_out["fsp"]


def test_without_a_task_it_is_said_what_is_not_given(tmp_path):
    study, said, *_ = ready(tmp_path, task="none", methods="none")
    assert WITHOUT_TASK in said
    assert json.loads((study.settings.folder() / "step0.json").read_text())["metric"] is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": "none,kd"}, r"Method kd needs a teacher: give --teacher NAME:FILE"),
        ({"unlabelled": "all", "labels_per_class": 5}, "no method transfers: leave it out"),
        ({"select": "best", "validation": 0.0}, "select best needs a validation part"),
        ({"methods": "none", "start": "runs/x/none/seed-{seed}"}, "there are no weights"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        ready(tmp_path, **changes)
    assert not (tmp_path / "runs" / "teachers").exists()
    assert not (tmp_path / "runs" / "run" / "plan.json").exists()


def test_data_that_students_cannot_be_judged_by(tmp_path):
    data = resolve(settings(tmp_path)).open_data()
    with pytest.raises(ConfigError, match="has no test part to judge by"):
        ready(tmp_path, replace(data, test=None))
    with pytest.raises(DataError, match="has one class, 0: there is nothing to learn"):
        ready(tmp_path, replace(data, classes=["0"], kind="maps"))


def test_labels_that_are_not_there(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.savez(tmp_path / "bare.npz", x_train=x[:40], x_test=x[40:])
    bare = {"data": str(tmp_path / "bare.npz"), "task": "none"}
    assert ready(tmp_path, **bare)[3] == ["none"]
    with pytest.raises(ConfigError, match=r"Method task:1 gives the task a weight, and .* has no labels"):
        ready(tmp_path, **bare, methods="none,task:1", out=str(tmp_path / "b"))
    with pytest.raises(ConfigError, match=r"tune judges trials by a linear probe on labels, and .* has none"):
        ready(tmp_path, **bare, tune=[1.0, 2.0], out=str(tmp_path / "c"))


DRAWN = """
from collections import OrderedDict

import torch
from torch import nn


def widths(num_classes, input_shape):
    width = 4 + int(torch.randint(0, 1000, ()))
    return nn.Sequential(nn.Linear(input_shape[0], width), nn.ReLU(), nn.Linear(width, num_classes))


def names(num_classes, input_shape):
    name = f"layer{int(torch.randint(0, 1000, ()))}"
    return nn.Sequential(OrderedDict({name: nn.Linear(input_shape[0], num_classes)}))


def weights(num_classes, input_shape):
    return nn.Sequential(nn.Linear(input_shape[0], 4), nn.ReLU(), nn.Linear(4, num_classes))
"""


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("widths", r"0.weight is \[\d+, 4\], and was \[\d+, 4\]"),
        ("names", r"layer\d+.weight is none, and was \[2, 4\]"),
    ],
)
def test_students_of_one_study_are_of_one_architecture(tmp_path, write_module, factory, said):
    trust.wrote([f"{write_module('drawn_nets', DRAWN)}:{factory}"])
    with pytest.raises(ConfigError, match=rf"drawn_nets:{factory} makes another network for seed 1 .*{said}"):
        ready(tmp_path, student=f"drawn_nets:{factory}", teacher="mlp@hidden=8", methods="none,neuron_transport")
    assert not list(tmp_path.rglob("teachers")), "a teacher was trained in vain"


def test_each_student_gets_the_layers_that_step_0_saw(tmp_path, write_module):
    trust.wrote([f"{write_module('drawn_nets', DRAWN)}:weights"])
    study, _, _, methods, _ = ready(
        tmp_path, student="drawn_nets:weights", teacher="mlp@hidden=8", methods="none,neuron_transport"
    )
    run = study.settings.folder()
    (term,) = Prepared.read(run).terms("neuron_transport")
    bench = Workbench(run)
    for seed in study.seeds:
        student = new_student(bench.study, bench.data, seed)[0]
        method = replace(bench.methods["neuron_transport"], terms=(term,))
        objective = make_objective(bench.study, bench.data, student, bench.teachers, method, {}, seed=seed, given=None)
        objective.check(next(training_batches(bench.data, bench.config, seed, transfers=True).epoch(0)), quiet=True)
        (bound,) = objective.bound
        assert bound.of(method.terms[bound.term]).record() == Prepared.read(run).bound["neuron_transport"][0]
    assert methods == ["none", "neuron_transport"]
