"""A faculty whose teachers see different things: numbers of other widths, so that none can be taken for another's."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kantor.core.errors import ConfigError, KantorError
from kantor.data import open_data
from kantor.faculty import Rank, rank_teachers
from kantor.faculty.ranking import Ranking
from kantor.models import load
from kantor.report import write
from kantor.study import Study
from kantor.study.settings.ranked_teachers import chosen_teachers
from kantor.study.settings.resolved import ResolvedStudy

WIDTHS = {"cheap": 5, "scan": 12, "xray": 9}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """``patients.npz``, whose test part lacks the scan, and a teacher of each view."""
    folder, rng = tmp_path_factory.mktemp("views"), np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 60), ("test", 30)):
        arrays[f"y_{part}"] = np.arange(n) % 3
        for name, width in WIDTHS.items():
            values = rng.normal(size=(n, width)) + 2 * np.eye(3, width)[arrays[f"y_{part}"]]
            arrays[f"{name}_{part}"] = values.astype(np.float32)
    del arrays["scan_test"]
    np.savez(folder / "patients.npz", **arrays)
    for name, view in (("mri", "scan"), ("ct", "xray"), ("lab", "cheap")):
        torch.manual_seed(0)
        model = load("mlp@hidden=16", classes=["0", "1", "2"], input_shape=(WIDTHS[view],))
        x, y = torch.from_numpy(arrays[f"{view}_train"]), torch.from_numpy(arrays["y_train"])
        model.fit_normaliser(x)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(20):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.save(folder / f"{name}.safetensors")
    return folder


def rank(place: Path, teachers: str, **changes) -> Ranking:
    (place / "teachers.yaml").write_text(teachers)
    settings = {"scores": "leep,transport", "bootstrap": 0, "out": str(place / "rank")}
    return rank_teachers(
        Rank(data=str(place / "patients.npz"), teachers=str(place / "teachers.yaml"), **(settings | changes))
    )


def leep(logits: torch.Tensor, labels: np.ndarray) -> float:
    """Mean log of the expected empirical prediction, from its definition (Nguyen et al., 2020)."""
    p, y = logits.double().softmax(-1), torch.from_numpy(labels)
    joint = torch.stack([p[y == k].sum(0) for k in range(3)]) / len(y)
    expected = p @ (joint / joint.sum(0)).T
    return expected[torch.arange(len(y)), y].log().mean().item()


BOTH = "- {model: mri.safetensors, view: scan}\n- {model: ct.safetensors, view: xray}\n"


def test_each_is_judged_on_its_own_view(place):
    found = rank(place, BOTH)
    seen = [(t.name, t.view, t.passes, t.error) for t in found.teachers]
    assert seen == [("mri", "scan", 60, None), ("ct", "xray", 60, None)]
    alone = rank(place, "- {model: ct.safetensors}\n", view="xray").teacher("ct")
    assert alone.scores["leep"] == found.teacher("ct").scores["leep"]
    assert (alone.view, alone.passes) == (None, 0)  # found: what the others saw is not part of the key
    with np.load(place / "patients.npz") as arrays, torch.no_grad():
        wanted = leep(load(str(place / "mri.safetensors"))(torch.from_numpy(arrays["scan_train"])), arrays["y_train"])
    assert found.teacher("mri").scores["leep"] == pytest.approx(wanted)
    rank(place, BOTH)
    assert "mri.safetensors, sees scan" in write(place / "rank").read_text()


def test_the_setting_is_for_the_others(place):
    said: list[str] = []
    (place / "teachers.yaml").write_text(BOTH + "- {model: lab.safetensors}\n")
    settings = {"data": str(place / "patients.npz"), "teachers": str(place / "teachers.yaml"), "view": "cheap"}
    found = rank_teachers(Rank(**settings, bootstrap=0, out=str(place / "rank")), said.append)
    assert found.facts["views"] == {"student": "cheap", "mri": "scan", "ct": "xray", "lab": "cheap"}
    assert found.teacher("lab").view == "cheap" and found.teacher("lab").error is None
    assert any(line.startswith("Teacher mri sees scan: ") for line in said)


def test_a_student_and_a_model_of_class_centres_see_the_setting(place):
    lab = str(place / "lab.safetensors")
    for changes in ({"student": lab}, {"label_cost": f"centres:{lab}"}):
        assert not [t.error for t in rank(place, BOTH, view="cheap", **changes).teachers if t.error]
        with pytest.raises(ConfigError, match="say with --view what the"):
            rank(place, BOTH, **changes)


def test_a_teacher_whose_view_the_part_lacks(place):
    found = rank(place, BOTH, part="test")
    assert found.order == ["ct"]
    assert found.teacher("mri").error == "The test part has no view for teacher mri."


def test_its_own_samples_are_seen_through_it(place):
    with np.load(place / "patients.npz") as arrays:
        np.savez(place / "own.npz", **{key: arrays[key] for key in arrays.files if key.endswith("_train")})
    found = rank(place, BOTH.replace("view: scan", "view: scan, data: own.npz"), scores="otce,leep")
    assert "otce" in found.teacher("mri").scores


@pytest.mark.parametrize(
    ("teachers", "says"),
    [
        (BOTH + "- {model: lab.safetensors}\n", "Teacher lab has no view, and others have: give it one, or --view"),
        (BOTH + "- {name: student, model: lab.safetensors, view: cheap}\n", "called 'student', as a role is"),
        (BOTH.replace("scan", "scna"), "no view 'scna', asked for teacher mri. Close to it: scan"),
    ],
)
def test_refused(place, teachers, says):
    with pytest.raises(KantorError, match=says.replace(".", r"\.")):
        rank(place, teachers)


def test_the_best_bring_their_views_along(place):
    first, second = rank(place, BOTH).best(2)
    study = {"data": str(place / "patients.npz"), "student": "mlp"}
    ranking = place / "rank" / "ranking.json"
    one = chosen_teachers(Study(**study, teacher=f"best:{ranking}", views="student=cheap"))
    assert ResolvedStudy(one).views == {"student": "cheap", "teacher": first.view}
    two = chosen_teachers(Study(**study, teacher=f"best@top=2:{ranking}", views="student=cheap"))
    assert ResolvedStudy(two).views == {"student": "cheap", first.name: first.view, second.name: second.view}
    assert open_data(place / "patients.npz", views=ResolvedStudy(two).views).train.input_shapes["mri"] == (12,)
    mine = chosen_teachers(Study(**study, teacher=f"best:{ranking}", views="student=cheap,teacher=cheap"))
    assert mine.views == "student=cheap,teacher=cheap"
    with pytest.raises(ConfigError, match="nothing of the student"):
        _ = ResolvedStudy(chosen_teachers(Study(**study, teacher=f"best:{ranking}"))).views
