"""What settings stand for: resolved once, and refused where they cannot be meant."""

from pathlib import Path

import pytest

from kantor.core import trust
from kantor.core.errors import ConfigError
from kantor.study import Study
from kantor.study.settings.resolved import ResolvedStudy, resolve
from kantor.study.settings.starting_weights import Start
from small import settings

TWO = "cnn@width=8:a.pt,cnn@width=16:b.pt"


def study(**changes) -> ResolvedStudy:
    return ResolvedStudy(Study(**({"data": "digits", "student": "cnn@width=4"} | changes)))


def test_one_teacher_is_called_teacher_and_several_by_their_models():
    assert study().teachers == {}
    assert study(teacher="cnn:a.pt").teachers == {"teacher": "cnn:a.pt"}
    several = study(teacher="cnn:a.pt, resnet8:b.pt").teachers
    assert several == {"cnn": "cnn:a.pt", "resnet8": "resnet8:b.pt"}
    assert len(study(teacher=TWO).teachers) == 2


@pytest.mark.parametrize(
    ("given", "shares"), [("equal", [0.5, 0.5]), ("ranking", [2 / 3, 1 / 3]), ([3.0, 1.0], [0.75, 0.25])]
)
def test_shares_of_teachers_sum_to_1(given, shares):
    found = study(teacher=TWO, teacher_weights=given).shares
    assert list(found.values()) == pytest.approx(shares)


@pytest.mark.parametrize("given", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, 1.0, 1.0]])
def test_a_positive_weight_for_each_teacher(given):
    with pytest.raises(ConfigError, match="teacher_weights is equal, ranking, or a positive number for each of"):
        _ = study(teacher=TWO, teacher_weights=given).shares


def test_a_term_for_each_teacher_with_its_share():
    (method,) = study(teacher=TWO, teacher_weights=[3.0, 1.0], methods="rkd:2").methods
    names = list(study(teacher=TWO).teachers)
    assert [term.teacher for term in method.terms] == [f"{name}:" for name in names]
    assert [term.weight for term in method.terms] == pytest.approx([1.5, 0.5])


def test_without_a_task_no_method_has_one_unless_it_says_so():
    alone, supervised = study(task="none", methods="none,task:1").methods
    assert (alone.task, supervised.task) == (0.0, 1.0)
    assert [method.task for method in study(methods="none,kd").methods] == pytest.approx([1.0, 0.1])
    without = study(task="none")
    assert without.task is None and not without.judged
    assert without.label_task.name == "classification" and without.scale.name == "accuracy"


def test_a_start_from_the_teacher_needs_one():
    given = study(teacher="cnn:a.pt", start="teacher", teacher_classes="x,y", methods="none,kd")
    assert given.starts == dict.fromkeys(("none", "kd"), Start("cnn:a.pt", ["x", "y"]))
    assert study(methods="none").starts == {"none": None}
    with pytest.raises(ConfigError, match="start teacher needs one teacher"):
        _ = study(teacher=TWO, start="teacher").starts


def test_class_centres_need_to_know_what_their_model_sees():
    views = {"teacher": TWO, "views": "student=cheap,cnn-1=scan,cnn-2=xray"}
    names = list(study(teacher=TWO).teachers)
    views["views"] = f"student=cheap,{names[0]}=scan,{names[1]}=xray"
    assert study(**views).views is not None
    with pytest.raises(ConfigError, match="nothing says which of them the model of the class centres sees"):
        _ = study(**views, label_cost="centres:cnn:c.pt").views


def test_the_limit_is_on_students_and_not_on_their_teachers(tmp_path):
    few = resolve(settings(tmp_path, labels_per_class=3))
    assert len(few.open_data().train) == 6
    assert few.open_data().validation is not None
    everything = few.open_data(limit=False)
    assert len(everything.train) == 60 and everything.validation is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": 0}, "seeds is at least 1"),
        ({"methods": "none,nonesuch"}, "nonesuch"),
        ({"label_cost": "glov:x"}, "Close to it: glove"),
        ({"student": "teacher"}, "give one, as NAME:FILE or a run"),
        ({"teacher": "best:nowhere.json"}, "nowhere.json"),
    ],
)
def test_all_is_looked_at_before_data_are_opened(tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said) if "nowhere" not in said else pytest.raises(Exception, match=said):
        resolve(Study(**({"data": str(tmp_path / "missing"), "student": "cnn"} | changes)))


def test_code_that_nobody_gave_leave_for_is_not_imported(tmp_path: Path):
    trust.forget()
    with pytest.raises(ConfigError, match="no_such_module"):
        resolve(Study(data="digits", student="no_such_module:make"))
    trust.forget()
