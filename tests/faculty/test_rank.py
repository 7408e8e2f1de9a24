"""A planted faculty, ranked: good by construction in data and weights, not by a cost that knows the answer."""

import math

import pytest
import torch

import kantor
from kantor.core.errors import ConfigError, KantorError
from kantor.faculty import Rank, Ranking, rank_teachers
from kantor.faculty.roster import classes_by_teacher
from tests.faculty import planted

NAMES = ("related", "unrelated", "untrained")


def config(folder, names=NAMES, **changes) -> Rank:
    teachers = ",".join(str(folder / f"{name}.safetensors") for name in names)
    settings = {"label_cost": f"glove:{folder / 'vectors.npz'}", "out": str(folder / "rank"), "bootstrap": 50}
    return Rank(data=str(folder / "pets.npz"), teachers=teachers, **(settings | changes))


@pytest.fixture(scope="module")
def ranking(faculty) -> Ranking:
    return rank_teachers(config(faculty))


def test_planted_teacher_comes_first_by_every_score_that_sees_it(ranking):
    # transport_labels looks at names alone: it tells cats from cars, not trained from untrained.
    for score in set(ranking.scores) - {"transport_labels"}:
        assert ranking.scores[score][0].teacher == "related", score
    assert ranking.scores["transport_labels"][-1].teacher == "unrelated"
    assert ranking.recommendation.startswith("Pick related (by transport)")
    assert "otce" not in ranking.scores
    assert ranking.teacher("related").missing["otce"] == "needs source"


def test_learned_cost_needs_no_names(faculty):
    learned = rank_teachers(config(faculty, label_cost="learned", scores="transport"))
    assert learned.order[0] == "related"


def test_order_of_teachers_does_not_matter(faculty, ranking):
    again = rank_teachers(config(faculty, NAMES[::-1], scores="transport,leep"))
    for score in ("transport", "leep"):
        assert [(p.teacher, p.score, p.margin_interval) for p in again.scores[score]] == [
            (p.teacher, p.score, p.margin_interval) for p in ranking.scores[score]
        ]


def test_common_rescaling_of_the_cost_does_not_matter(faculty, tmp_path):
    names = ["cat", "dog", "wolf", "car", "truck", "bus"]
    orders = []
    for scale in (1, 100):
        rows = [[str(scale * abs(i - k)) for k in range(6)] for i in range(6)]
        lines = [",".join(["", *names]), *(",".join([name, *row]) for name, row in zip(names, rows, strict=True))]
        (tmp_path / "cost.csv").write_text("\n".join(lines))
        found = rank_teachers(config(faculty, label_cost=f"matrix:{tmp_path / 'cost.csv'}", scores="transport"))
        orders.append([(p.teacher, pytest.approx(p.score)) for p in found.scores["transport"]])
    assert orders[0] == orders[1]


def test_outputs_are_kept(faculty, ranking):
    again = rank_teachers(config(faculty, scores="leep"))
    assert [t.passes for t in again.teachers] == [0, 0, 0]
    assert {t.name: t.scores["leep"] for t in again.teachers} == {t.name: t.scores["leep"] for t in ranking.teachers}


def test_a_failed_teacher_is_reported_and_the_others_go_on(faculty, tmp_path):
    (faculty / "corrupt.safetensors").write_bytes(b"nothing of use")
    said: list[str] = []
    found = rank_teachers(config(faculty, ("corrupt", "related", "absent"), scores="transport"), said.append)
    assert found.order == ["related"]
    assert "corrupt.safetensors" in (found.teacher("corrupt").error or "")
    assert any(line.startswith("Teacher absent cannot be judged") for line in said)
    with pytest.raises(KantorError, match=r"No teacher could be judged(.|\n)*absent"):
        rank_teachers(config(faculty, ("absent",)))


def test_names_without_vectors_cost_one_teacher_its_transport_score(faculty, tmp_path):
    text = "\n".join(f"- {{name: {n}, model: {faculty / n}.safetensors}}" for n in ("related", "unrelated"))
    (tmp_path / "words.txt").write_text("cat 1 0\ndog .9 .3\nwolf .6 .5\n")
    (tmp_path / "t.yaml").write_text(text)
    found = rank_teachers(
        Rank(
            data=str(faculty / "pets.npz"),
            teachers=str(tmp_path / "t.yaml"),
            label_cost=f"glove:{tmp_path / 'words.txt'}",
            scores="transport,leep",
            bootstrap=0,
            out=str(faculty / "rank"),
        )
    )
    assert found.order == ["related"]
    assert "'bus'" in found.teacher("unrelated").missing["transport"]
    assert "leep" in found.teacher("unrelated").scores
    assert found.scores["transport"][0].interval is None


def test_student_s_predictions_in_the_labels_place(faculty):
    with pytest.raises(ConfigError, match="3 classes"):
        rank_teachers(config(faculty, student=str(faculty / "related.safetensors"), scores="transport"))
    student = planted.teacher(faculty / "student.safetensors", ["cat", "dog"])
    found = rank_teachers(config(faculty, student=str(student), scores="transport"))
    assert found.order[0] == "related"


def test_what_cannot_be_meant(faculty):
    for changes, said in (
        ({"bootstrap": 1}, "bootstrap"),
        ({"scores": "best"}, "best"),
        ({"label_cost": "magic"}, "magic"),
        ({"label_cost": "glove:nowhere.txt"}, "nowhere.txt needs word vectors.*no such file"),
        ({"label_cost": "matrix:nowhere.csv"}, "nowhere.csv needs a matrix.*no such file"),
    ):
        with pytest.raises(ConfigError, match=said):
            rank_teachers(config(faculty, **changes))


def test_a_dead_teacher_is_ranked_last_and_never_ends_the_ranking(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    for name in ("good", "dead"):
        model = kantor.load("cnn@width=8", classes=10, input_shape=(1, 8, 8))
        if name == "dead":
            with torch.no_grad():
                for parameter in model.network.parameters():
                    parameter.zero_()
        model.save(f"{name}.safetensors")
    names = "cnn@width=8:good.safetensors,cnn@width=8:dead.safetensors"
    settings = {"data": "digits", "train_limit": 200, "bootstrap": 10, "out": "r"}
    ranking = rank_teachers(Rank(teachers=names, label_cost="learned", **settings))
    good, dead = ranking.teachers
    assert good.error is None and "logme" in good.scores
    assert dead.error is None and all(math.isfinite(value) for value in dead.scores.values())
    assert dead.scores["h_score"] == 0  # nothing is to be learned of it
    assert ranking.order == [good.name, dead.name]


def test_what_decides_in_the_place_of_the_label_cost_is_said(faculty, tmp_path):
    heard: list[str] = []
    (tmp_path / "vectors.txt").write_text("nothing 1 0\n")
    settings = {"label_cost": f"glove:{tmp_path / 'vectors.txt'}", "out": str(tmp_path / "out"), "bootstrap": 0}
    found = rank_teachers(config(faculty, **settings), heard.append)
    assert "transport" not in found.scores
    (decided,) = [line for line in heard if line.startswith("Decided by")]
    assert "transport" in decided and not decided.endswith("..")


def test_class_names_are_given_for_the_one_teacher_or_by_name():
    assert classes_by_teacher("a,b", ["t"]) == {"t": ["a", "b"]}
    assert classes_by_teacher({"u": ["a", "b"]}, ["t", "u"]) == {"u": ["a", "b"]}
    assert classes_by_teacher(None, ["t", "u"]) == {}
    with pytest.raises(ConfigError, match="say whose"):
        classes_by_teacher("a,b", ["t", "u"])
    with pytest.raises(ConfigError, match="no known teacher: 'v'"):
        classes_by_teacher({"v": "a,b"}, ["t", "u"])


@pytest.mark.parametrize(("name", "value"), [("part", "all"), ("bootstrap", "many"), ("teachers", ["a", "b"])])
def test_settings_of_another_type_are_refused_by_name(faculty, name, value):
    with pytest.raises(ConfigError, match=name):
        rank_teachers(config(faculty, **{name: value}) if name != "teachers" else Rank(data="digits", teachers=value))
