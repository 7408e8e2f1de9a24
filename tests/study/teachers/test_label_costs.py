"""Label costs of a study: when they are made, of what, who gets which, and how they are kept."""

from pathlib import Path

import numpy as np
import pytest
import torch

import kantor
from kantor.core.errors import ConfigError, DataError
from kantor.data import DataSet, open_data
from kantor.losses import LabelCost, LabelTransport
from kantor.models import Model
from kantor.objective import Term
from kantor.study.settings.methods import parse_methods
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.teachers.label_costs import (
    hand_over,
    label_costs_for,
    make_label_costs,
    needs_cost,
    read_costs,
    write_costs,
)
from small import settings

MATRIX = "names,0,1\ncat,1,3\ndog,2,2\n"
"""Rows are a teacher's classes, columns the student's; the mean cost is 2."""


@pytest.fixture
def here(tmp_path) -> Path:
    (tmp_path / "matrix.csv").write_text(MATRIX)
    return tmp_path


@pytest.fixture
def data(here) -> DataSet:
    return open_data(settings(here).data)


def study(here: Path, **changes) -> ResolvedStudy:
    given = {"label_cost": f"matrix:{here / 'matrix.csv'}", "methods": "none,label_transport"}
    return ResolvedStudy(settings(here, **(given | changes)))


def teacher(*classes: str) -> Model:
    return kantor.load("mlp@hidden=4@normalise=none", classes=list(classes) or 2, input_shape=(4,))


def test_a_method_that_compares_label_spaces_needs_one():
    methods = parse_methods("none,kd+label_transport,kd,l2_sp")
    assert [any(needs_cost(term) for term in method.terms) for method in methods] == [False, True, False, False]


def test_the_cost_is_from_each_teachers_classes_to_the_students(here, data):
    models = {"a": teacher("cat", "dog"), "b": teacher("dog", "cat")}
    found = make_label_costs(study(here), data, models, here / "cache", lambda _: None)
    assert found["a"].cross.tolist() == [[0.5, 1.5], [1.0, 1.0]]  # on one scale, of mean 1
    assert found["b"].cross.tolist() == [[1.0, 1.0], [0.5, 1.5]]


def test_none_is_made_where_nothing_needs_it(here, data):
    models = {"a": teacher("cat", "dog")}
    for changes in ({"methods": "none,kd"}, {"label_cost": None}):
        assert label_costs_for(study(here, **changes), data, models, here, lambda _: None) == ({}, {})
    assert label_costs_for(study(here), data, {}, here, lambda _: None) == ({}, {})


def test_what_is_learned_sees_outputs_and_needs_no_names(here, data):
    told: list[dict] = []
    model = teacher()
    found = make_label_costs(study(here, label_cost="learned"), data, {"a": model}, here / "cache", told.append)
    assert found["a"].cross.shape == (2, 2)
    assert told[-1]["doing"] == "teacher a" and told[-1]["step"] == told[-1]["steps"]


def test_a_cost_that_cannot_be_made_is_refused_or_its_methods_left_out(here, data):
    models = {"big": teacher()}  # its weights name no classes
    with pytest.raises(ConfigError, match=r"teacher big do not name its 2 classes.*--teacher-classes FILE"):
        label_costs_for(study(here), data, models, here, lambda _: None)
    methods = "none,label_transport,kd+label_transport"
    costs, without = label_costs_for(study(here, unfit="skip", methods=methods), data, models, here, lambda _: None)
    assert costs == {}
    assert set(without) == {"label_transport", "kd+label_transport"}
    assert all("do not name its 2 classes" in why for why in without.values())


def test_a_class_that_the_matrix_lacks_is_named(here, data):
    with pytest.raises(DataError, match=r"matrix\.csv has no row for class 'dg'. Close to it: dog"):
        make_label_costs(study(here), data, {"a": teacher("cat", "dg")}, here, lambda _: None)


def test_every_term_gets_the_cost_of_its_own_teacher():
    apart = 1 - torch.eye(2)
    costs = {"a": LabelCost(apart), "b": LabelCost(2 * apart)}
    losses = [LabelTransport(epsilon=0.1) for _ in range(3)]
    terms = [Term(loss, teacher=teacher) for loss, teacher in zip(losses, ("b:logits", "a:", None), strict=True)]
    hand_over(terms, costs, ["a", "b"])
    student, teacher = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 9.0]])
    costs_of_a_swap = [loss(student, teacher).item() for loss in losses]
    assert costs_of_a_swap[0] > 1.5 * costs_of_a_swap[1] > 1
    assert costs_of_a_swap[1] == costs_of_a_swap[2]


def test_they_are_kept_to_the_bit(tmp_path):
    assert read_costs(tmp_path) == {}
    within = torch.tensor([[0.0, 0.1], [0.1, 0.0]])
    costs = {"a/b": LabelCost(torch.rand(3, 2)), "c": LabelCost(torch.rand(2, 2), within, within)}
    write_costs(tmp_path, costs)
    found = read_costs(tmp_path)
    assert list(found) == ["a/b", "c"]
    assert torch.equal(found["a/b"].cross, costs["a/b"].cross) and found["a/b"].student is None
    assert all(torch.equal(getattr(found["c"], part), getattr(costs["c"], part)) for part in vars(found["c"]))


@pytest.mark.parametrize(
    "arrays",
    [{"a/other": np.ones((2, 2))}, {"a/student": np.ones((2, 2))}, {"a/cross": np.ones(2)},
     {"a/cross": -np.ones((2, 2))}, {"a/cross": np.array(["x"])}],
)  # fmt: skip
def test_damage_is_said(tmp_path, arrays):
    np.savez(tmp_path / "label-costs.npz", **arrays)
    with pytest.raises(DataError, match=r"label-costs\.npz holds no label costs.*`kantor resume`"):
        read_costs(tmp_path)
