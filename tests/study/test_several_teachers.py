"""Terms over several teachers, their shares, and teachers from a ranking."""

import numpy as np
import pytest
import torch

from kantor.core.errors import ConfigError, DataError
from kantor.faculty.ranking import Judged, Place, Ranking
from kantor.losses import LabelCost
from kantor.objective import Weight
from kantor.objective.weights import LIMIT
from kantor.study.settings.methods import parse_methods
from kantor.study.settings.ranked_teachers import chosen_teachers
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.settings.study import Study
from kantor.study.teachers.label_costs import read_costs, write_costs


def study(teacher: str = "resnet20:a.pt,cnn:b.pt", **settings) -> Study:
    return Study(data="digits", student="cnn", teacher=teacher, **settings)


def test_a_term_becomes_one_for_each_teacher():
    (method,) = ResolvedStudy(study(methods="label_transport:3+task:2", teacher_weights=[3.0, 1.0])).methods
    assert method.task == 2
    assert [(t.name, t.teacher, t.weight) for t in method.terms] == [
        ("label_transport.resnet20", "resnet20:", 2.25),
        ("label_transport.cnn", "cnn:", 0.75),
    ]
    (default,) = ResolvedStudy(study(methods="neuron_transport")).methods
    (alone,) = parse_methods("neuron_transport")
    assert default.terms[0].weight == Weight(alone.terms[0].loss.default_weight / 2, limit=LIMIT)
    (one,) = ResolvedStudy(study("cnn:b.pt", methods="neuron_transport")).methods
    assert [term.record() for term in one.terms] == [term.record() for term in alone.terms]


def test_schedules_and_named_teachers():
    term = {"loss": "label_transport", "weight": {"value": 4.0, "schedule": "linear", "end": 2.0}}
    mine = {"loss": "neuron_transport", "teacher": "cnn:"}
    (method,) = ResolvedStudy(study(methods=[{"name": "m", "terms": [term, mine]}])).methods
    assert [t.weight for t in method.terms[:2]] == [Weight(2.0, "linear", 1.0)] * 2
    assert method.terms[2].teacher == "cnn:"


def test_shares():
    assert ResolvedStudy(study()).shares == {"resnet20": 0.5, "cnn": 0.5}
    assert ResolvedStudy(study(teacher_weights="ranking")).shares == pytest.approx({"resnet20": 2 / 3, "cnn": 1 / 3})
    for wrong in ([1.0], [1.0, -1.0]):
        with pytest.raises(ConfigError, match="teacher_weights"):
            _ = ResolvedStudy(study(teacher_weights=wrong)).shares


def test_classes():
    assert ResolvedStudy(study("cnn:b.pt", teacher_classes="a,b")).teacher_classes == {"teacher": ["a", "b"]}
    assert ResolvedStudy(study(teacher_classes={"cnn": ["x"]})).teacher_classes == {"cnn": ["x"]}
    with pytest.raises(ConfigError, match="say whose"):
        _ = ResolvedStudy(study(teacher_classes="a,b")).teacher_classes
    with pytest.raises(ConfigError, match="resnet"):
        _ = ResolvedStudy(study(teacher_classes={"resnet": ["x"]})).teacher_classes


def test_best_of_a_ranking(tmp_path):
    places = [Place(name, 0.0, None, None, None, 0.0, None) for name in ("b", "a", "c")]
    teachers = [Judged(name, f"cnn:{name}.pt", ["x", "y"] if name == "b" else None) for name in ("a", "b", "c")]
    Ranking("d", "train", 8, "learned", {"leep": places}, teachers, "").write(tmp_path / "r.json")
    one = chosen_teachers(study(f"best:{tmp_path}/r.json"))
    assert (ResolvedStudy(one).teachers, one.teacher_classes, one.label_cost) == (
        {"teacher": "cnn:b.pt"},
        {"teacher": ["x", "y"]},
        "learned",
    )
    two = chosen_teachers(study(f"best@top=2:{tmp_path}/r.json", label_cost="glove:x"))
    assert ResolvedStudy(two).teachers == {"cnn-1": "cnn:b.pt", "cnn-2": "cnn:a.pt"}
    assert (ResolvedStudy(two).teacher_classes, two.label_cost) == ({"cnn-1": ["x", "y"]}, "glove:x")
    assert chosen_teachers(one) is one
    for wrong in ("best", "best@top=x:r.json", "best@top=4:{}/r.json"):
        with pytest.raises(ConfigError):
            chosen_teachers(study(wrong.format(tmp_path)))


def test_label_costs_are_kept(tmp_path):
    costs = {"a/b": LabelCost(torch.rand(3, 2)), "c": LabelCost(torch.rand(1, 2), torch.rand(2, 2), torch.rand(1, 1))}
    write_costs(tmp_path, costs)
    found = read_costs(tmp_path)
    assert found["a/b"].student is None
    for name, cost in costs.items():
        assert torch.equal(found[name].cross, cost.cross)
    assert read_costs(tmp_path / "none") == {}


@pytest.mark.parametrize(
    "arrays",
    [
        {"a/other": np.ones((2, 2))},
        {"a/cross": np.array(["x"])},
        {"a/cross": np.ones(3)},
        {"a/student": np.ones((2, 2))},
        {"a/cross": np.full((2, 2), np.nan)},
    ],
)
def test_damaged_label_costs_are_said(tmp_path, arrays):
    np.savez(tmp_path / "label-costs.npz", **arrays)
    with pytest.raises(DataError, match=r"label-costs\.npz holds no label costs.*`kantor resume`"):
        read_costs(tmp_path)
