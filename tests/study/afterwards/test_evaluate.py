"""`kantor evaluate`: other data is read as the run reads its own, and classes are matched by their names."""

import json
from pathlib import Path

import numpy as np
import pytest

from kantor.cli import main
from kantor.data import open_data
from kantor.study.afterwards.evaluate import _numbered_as

NAMES = ["cat", "dog", "eel"]
TRAIN = ["--student=mlp@hidden=8", "--methods=none", "--epochs=4", "--batch-size=16", "--seeds=1", "--jobs=1"]


def table(path: str, names: list[str] | None, order=(0, 1, 2), **arrays) -> None:
    """Separable vectors of three classes, class ``order[k]`` under number k of ``names``."""
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 3
    x = (np.eye(3, 5)[truth] * 4 + rng.normal(size=(240, 5))).astype(np.float32)
    number = np.argsort(order)[truth]
    content = {"x": x, "label": number, **arrays} | ({} if names is None else {"class_names": np.array(names)})
    np.savez(path, **content)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    here = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        table("abc.npz", NAMES)
        assert main(["distill", "--data=abc.npz", *TRAIN, "--out=run"]) == 0
    return here


@pytest.fixture
def here(trained, monkeypatch, capsys) -> Path:
    monkeypatch.chdir(trained)
    capsys.readouterr()
    return trained


def said(capsys) -> str:
    found = capsys.readouterr()
    return found.out + found.err


def test_classes_are_matched_by_name(here, capsys):
    assert main(["evaluate", "run/none/seed-0"]) == 0
    own = said(capsys)
    assert float(own.split()[0]) > 90
    table("reversed.npz", NAMES[::-1], order=(2, 1, 0))
    for model in (["run/none/seed-0"], ["--model=mlp@hidden=8:run/none/seed-0/student.safetensors"]):
        assert main(["evaluate", *model, "--data=reversed.npz"]) == 0
        assert said(capsys) == own
    assert main(["evaluate", "--model=run/none/seed-0", "--data=abc.npz"]) == 0
    assert said(capsys) == own


def test_classes_that_the_model_does_not_know(here, capsys):
    table("others.npz", ["oak", "dog", "cat"], order=(2, 1, 0))
    assert main(["evaluate", "run/none/seed-0", "--data=others.npz"]) == 2
    assert "classes that the model does not know: oak. It knows cat, dog, eel" in said(capsys)
    assert main(["evaluate", "run/none/seed-0", "--data=others.npz", "--classes=dog,cat"]) == 0
    found = said(capsys)
    assert float(found.split()[0]) > 90
    assert " 64 test samples" in found  # 40 % of 160


def test_classes_without_names_are_taken_in_order_and_that_is_said(here, capsys):
    table("numbers.npz", None)
    assert main(["evaluate", "run/none/seed-0", "--data=numbers.npz"]) == 0
    found = said(capsys)
    assert "numbers.npz have numbers for names: class 0 is taken for cat" in found
    assert float(found.splitlines()[1].split()[0]) > 90


def test_numbers_in_another_order_are_matched_as_the_names_they_are():
    data = open_data("digits", train_limit=20)
    known = ["0", "1", "9", *"2345678"]
    told: list[str] = []
    part = _numbered_as(known, data, data.train, told.append)
    assert [known[k] for k in part.targets] == [data.classes[k] for k in data.train.targets] and not told


def test_other_data_are_read_as_the_runs_own(here, capsys):
    rng = np.random.default_rng(1)
    table("two.npz", None, diagnosis=np.arange(240) % 3, noise=rng.normal(size=(240, 4)).astype(np.float32))
    content = dict(np.load("two.npz"))
    content["label"] = rng.integers(0, 3, 240)
    np.savez("two.npz", **content)
    read = ["--label=diagnosis", "--views=teacher=noise,student=x"]
    assert main(["distill", "--data=two.npz", *read, *TRAIN, "--out=two"]) == 0
    said(capsys)
    assert main(["evaluate", "two/none/seed-0"]) == 0
    own = said(capsys)
    assert main(["evaluate", "two/none/seed-0", "--data=two.npz"]) == 0
    assert said(capsys) == own
    assert main(["evaluate", "two/none/seed-0", "--data=two.npz", "--label=label"]) == 0
    assert float(said(capsys).split()[0]) < 60
    model = "--model=mlp@hidden=8:two/none/seed-0/student.safetensors"
    assert main(["evaluate", model, "--data=two.npz", "--view=x", "--label=diagnosis"]) == 0
    assert said(capsys) == own
    assert main(["evaluate", model, "--data=two.npz", "--label=diagnosis"]) == 2
    assert "--view x where all models see one" in said(capsys)
    assert main(["evaluate", "two/none/seed-0", "--image-size=8"]) == 2
    assert "image_size, view, label, text, classes and task go with --data" in said(capsys)


def test_from_anywhere_a_runs_paths_begin_where_it_was_started(here, capsys, monkeypatch, tmp_path):
    assert main(["evaluate", "run/none/seed-0"]) == 0
    own = said(capsys)
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(here / "run" / "none" / "seed-0")]) == 0
    assert said(capsys) == own
    assert Path.cwd() == tmp_path


def test_where_the_place_a_run_was_started_in_is_gone_its_paths_are_explained(here, capsys, monkeypatch, tmp_path):
    facts = here / "run" / "environment.json"
    before = facts.read_text()
    facts.write_text(json.dumps(json.loads(before) | {"directory": str(tmp_path / "gone")}))
    monkeypatch.chdir(tmp_path)
    for command in ("resume", "probe"):
        assert main([command, str(here / "run")]) == 2
        assert f"Paths in the run's settings begin in {tmp_path / 'gone'}, where it was started" in said(capsys)
    assert main(["evaluate", str(here / "run" / "none" / "seed-0")]) == 2
    assert "begin in" in said(capsys)
    facts.write_text(before)
    monkeypatch.chdir(here)
    assert main(["resume", "nowhere"]) == 2
    assert "begin in" not in said(capsys)


def test_a_program_that_finds_no_room_is_a_message_and_leaves_nothing(here, capsys):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        ended = main(["export", "run/none/seed-0", "--format", "torch.export", "--output", "out/program.pt2"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ended == 2
    assert "Could not write out/program.pt2" in capsys.readouterr().err
    assert list(Path("out").iterdir()) == []
