"""A study from its settings to its table: what is said, what is left, and how it goes on."""

import json
from pathlib import Path

import pytest

from kantor.core.errors import ConfigError, KantorError
from kantor.study import run
from kantor.study.run import resume, run_study
from small import console, printed, settings


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a finished run."""
    return run_study(settings(tmp_path_factory.mktemp("study")), console())


def results(folder: Path) -> dict[Path, tuple[int, bytes]]:
    found = [*folder.glob("*/seed-*/result.json"), *folder.glob("*/seed-*/student.safetensors")]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def test_the_same_call_again_trains_nobody_and_prints_the_same_table(finished):
    before, said = results(finished), console()
    assert len(before) == 4
    assert run_study(settings(finished.parents[1]), said) == finished
    assert results(finished) == before
    rows = [line for line in printed(said).splitlines() if line.startswith("│ none ")]
    (row,) = json.loads((finished / "summary.json").read_text())["methods"].values()
    assert [f"{100 * row['mean']:.2f}" in line for line in rows] == [True]
    assert f"The run is in {finished}" in printed(said)


def test_resume_trains_who_is_missing_to_the_same_weights(finished):
    before = results(finished)
    gone = finished / "none" / "seed-1"
    for path in gone.rglob("*"):
        if path.is_file():
            path.unlink()
    assert resume(finished, console()) == finished
    after = results(finished)
    assert after.keys() == before.keys()
    assert after[gone / "student.safetensors"][1] == before[gone / "student.safetensors"][1]
    kept = [path for path in before if path.parent != gone]
    assert [after[path] for path in kept] == [before[path] for path in kept]


def test_the_page_is_asked_for_once_when_the_summary_is_there(finished):
    told = []
    resume(finished, console(), lambda folder: told.append((folder, (folder / "summary.json").exists())))
    assert told == [(finished, True)]


@pytest.fixture
def one_fails(monkeypatch):
    """The last student that is asked for cannot be trained."""
    whole = run.train_all

    def train_all(folder, jobs, *more):
        whole(folder, jobs[:-1], *more)
        raise KantorError("seed 1 cannot be trained")

    monkeypatch.setattr(run, "train_all", train_all)


def test_a_student_that_fails_leaves_the_table_of_the_others(tmp_path, one_fails):
    told = []
    with pytest.raises(KantorError, match="seed 1 cannot be trained"):
        run_study(settings(tmp_path), console(), told.append)
    folder = tmp_path / "runs" / "run"
    assert told == [folder]
    summary = json.loads((folder / "summary.json").read_text())
    assert not summary["complete"]
    assert summary["methods"]["none"]["seeds"] == [0]


def test_what_failed_first_is_said_where_the_page_fails_too(tmp_path, one_fails):
    def report(folder: Path) -> None:
        raise OSError(f"no page for {folder}")

    with pytest.raises(KantorError, match="seed 1 cannot be trained"):
        run_study(settings(tmp_path), console(), report)


def test_without_a_task_the_probe_is_named_in_the_place_of_accuracies(tmp_path):
    said = console()
    run_study(settings(tmp_path, task="none", seeds=1), said)
    assert "kantor probe judges the features" in printed(said)
    assert "%" not in printed(said).split("┏")[1].replace("95 % interval", "")


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        resume(tmp_path, console())
    assert list(tmp_path.iterdir()) == []
