"""Teachers as a ranking chose them: which, and what comes with them."""

from pathlib import Path

import pytest

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.faculty.ranking import Judged, Place, Ranking
from kantor.study import Study
from kantor.study.settings.ranked_teachers import chosen_teachers

TEACHERS = [
    Judged("a", "cnn@width=8:a.pt", classes=["x", "y"], view="scan"),
    Judged("b", "cnn@width=16:b.pt", view="xray"),
    Judged("c", "resnet8:c.pt"),
]


@pytest.fixture
def ranking(tmp_path) -> Path:
    """Of three teachers: b, a, c."""
    path = tmp_path / "ranking.json"
    places = [Place(name, score, None, None, None, 0.0, None) for name, score in (("b", 3.0), ("a", 2.0), ("c", 1.0))]
    Ranking("data", "train", 100, "glove:v.npz", {"logme": places}, TEACHERS, "b").write(path)
    return path


def settings(teacher: str | None, **changes) -> Study:
    return Study(data="d", student="cnn", teacher=teacher, **changes)


def test_the_first_alone(ranking):
    found = chosen_teachers(settings(f"best:{ranking}"))
    assert found.teacher == "cnn@width=16:b.pt"
    assert (found.teacher_classes, found.label_cost) == (None, "glove:v.npz")
    assert found.view_map() == {"teacher": "xray"}


def test_several_keep_their_classes_and_views_by_name(ranking):
    found = chosen_teachers(settings(f"best@top=2:{ranking}", views="student=cheap"))
    assert found.teacher == "cnn@width=16:b.pt,cnn@width=8:a.pt"
    names = list(found.view_map() or {})
    assert found.teacher_classes == {names[1]: ["x", "y"]}
    assert found.view_map() == {names[0]: "xray", names[1]: "scan", "student": "cheap"}


def test_what_the_user_says_comes_first(ranking):
    found = chosen_teachers(
        settings(f"best:{ranking}", label_cost="learned", teacher_classes="p,q", views="teacher=mri,student=cheap")
    )
    assert (found.label_cost, found.teacher_classes) == ("learned", "p,q")
    assert found.view_map() == {"teacher": "mri", "student": "cheap"}


def test_a_label_cost_stays_behind_where_labels_are_no_classes(ranking):
    assert chosen_teachers(settings(f"best:{ranking}", task="regression")).label_cost is None
    assert chosen_teachers(settings(f"best:{ranking}", task="none")).label_cost == "glove:v.npz"


@pytest.mark.parametrize("teacher", [None, "cnn:a.pt", "bestiary:b.pt", "cnn:a.pt,cnn:b.pt"])
def test_other_teachers_are_left_as_they_are(teacher):
    config = settings(teacher)
    assert chosen_teachers(config) is config


@pytest.mark.parametrize("text", ["best", "best:", "best@top=:{}", "best@top=x:{}", "best@top=²:{}", "best@top=2@x:{}"])
def test_a_choice_that_cannot_be_meant(ranking, text):
    with pytest.raises(ConfigError, match=r"write best:RANKING\.json, or best@top=3:RANKING\.json"):
        chosen_teachers(settings(text.format(ranking)))


@pytest.mark.parametrize("top", [0, 4])
def test_more_than_there_are(ranking, top):
    with pytest.raises(ConfigError, match=f"holds 3 teachers; the first {top} are asked for"):
        chosen_teachers(settings(f"best@top={top}:{ranking}"))


def test_a_file_that_is_no_ranking(tmp_path):
    (tmp_path / "other.json").write_text('{"data": "x"}')
    for name in ("other.json", "missing.json"):
        with pytest.raises(DataError, match=f"{name}.*`kantor rank`"):
            chosen_teachers(settings(f"best:{tmp_path / name}"))


def test_a_ranking_gives_no_leave_to_import(tmp_path):
    trust.forget()
    path = tmp_path / "ranking.json"
    place = Place("own", 1.0, None, None, None, 0.0, None)
    Ranking("d", "train", 1, "learned", {"s": [place]}, [Judged("own", "no_such_module:make")], "").write(path)
    chosen = chosen_teachers(settings(f"best:{path}"))
    with pytest.raises(ConfigError, match="no_such_module"):
        trust.check(*chosen.codes())
    trust.forget()
