"""A study at several numbers of labels: a run for each, made before the first of them trains."""

import json
from pathlib import Path

import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.study import sweep
from kantor.study.resume.fingerprints import settings_of
from kantor.study.sweep import resume_sweep, run_sweep, runs_in, sweep_table
from small import console, printed, settings


@pytest.fixture
def finished(monkeypatch) -> list[tuple[int, list[str]]]:
    """In the place of training: (labels a class, which runs were there by then)."""
    seen = []

    def finish(study, console, report):
        folder = study.settings.folder()
        there = sorted(path.parent.name for path in folder.parent.glob("*/config.yaml"))
        seen.append((study.settings.labels_per_class, there))
        report(folder)
        return folder

    monkeypatch.setattr(sweep, "finish", finish)
    return seen


def test_every_run_is_there_before_the_first_trains(tmp_path, finished):
    told, said = [], console()
    runs = run_sweep(settings(tmp_path, labels_per_class="20,5"), said, told.append)
    out = tmp_path / "runs" / "run"
    assert runs == told == [out / "labels-20", out / "labels-5"]
    assert finished == [(20, ["labels-20", "labels-5"]), (5, ["labels-20", "labels-5"])]
    assert [settings_of(part).label_numbers() for part in runs] == [[20], [5]]
    assert str(runs[0]) in printed(said) and "labels per class" in printed(said)


def test_a_number_that_cannot_be_is_refused_before_a_folder_is_made(tmp_path, finished):
    with pytest.raises(DataError, match=r"labels_per_class is 31, but class .* Give at most 27"):
        run_sweep(settings(tmp_path, labels_per_class="5,31"), console())
    assert finished == [] and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("labels", [None, 5])
def test_one_number_or_none_is_a_run_like_any_other(tmp_path, monkeypatch, labels):
    monkeypatch.setattr(sweep, "run_study", lambda config, *_: config.folder())
    config = settings(tmp_path, labels_per_class=labels)
    assert run_sweep(config, console()) == [tmp_path / "runs" / "run"]


def test_a_run_is_no_place_for_a_sweep_unless_it_never_came_to_work(tmp_path, finished):
    config = settings(tmp_path, labels_per_class="5,20")
    folder = config.folder()
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("data: x\n")
    (folder / "plan.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a run, and several numbers of labels are a run each"):
        run_sweep(config, console())
    (folder / "plan.json").unlink()
    assert len(run_sweep(config, console())) == 2
    assert not (folder / "config.yaml").exists()


def test_all_runs_of_a_sweep_go_on(tmp_path, finished):
    runs = run_sweep(settings(tmp_path, labels_per_class="20,5"), console())
    finished.clear()
    assert resume_sweep(tmp_path / "runs" / "run", console()) == sorted(runs, key=lambda run: int(run.name[7:]))
    assert [number for number, _ in finished] == [5, 20]


def test_a_run_goes_on_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "resume", lambda folder, *_: folder)
    assert resume_sweep(tmp_path, console()) == [tmp_path]


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (["labels-20", "labels-100", "labels-5"], ["labels-5", "labels-20", "labels-100"]),
        (["labels-5", "labels-5-old", "labels-x"], ["labels-5"]),
        (["labels-5", "."], ["."]),  # a run may have a method of that name
        ([], ["."]),
    ],
)
def test_the_runs_of_a_folder_in_the_order_of_their_numbers(tmp_path, made, found):
    for name in made:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "config.yaml").touch()
    assert runs_in(tmp_path) == [tmp_path / name for name in found]


def row(mean: float, difference: float | None) -> dict:
    to_none = None if difference is None else {"to": "none", "mean": difference, "interval": None, "seeds": [0, 1]}
    return {
        "seeds": [0, 1], "accuracy": [mean, mean], "mean": mean, "interval": None, "seconds": 1.0,
        "difference": to_none,
    }  # fmt: skip


def shown(runs: list[Path]) -> list[list[str]]:
    to = console()
    to.print(sweep_table(runs))
    return [[c.strip() for c in line.strip("│").split("│")] for line in printed(to).splitlines() if "│" in line]


def test_the_table_has_a_column_for_each_number_and_a_row_for_each_method(tmp_path):
    methods = [
        {"none": row(0.5, None), "kd": row(0.615, 0.115)},
        {"none": row(0.75, None), "kd": row(0.7, -0.05), "crd": row(0.8, None)},
    ]
    runs = [tmp_path / "labels-5", tmp_path / "labels-20"]
    for folder, found in zip(runs, methods, strict=True):
        folder.mkdir()
        (folder / "summary.json").write_text(json.dumps({"methods": found}))
    assert shown(runs) == [
        ["none", "50.00", "75.00"],
        ["kd", "61.50 (+11.50)", "70.00 (-5.00)"],
        ["crd", "", "80.00"],
    ]


def test_the_table_speaks_the_tasks_metric(tmp_path):
    summary = {
        "methods": {"none": row(2.5, None), "kd": row(2.25, -0.25)},
        "metric": {"name": "RMSE", "unit": "m", "higher_is_better": False},
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert shown([tmp_path, tmp_path / "unfinished"]) == [["none", "2.50", ""], ["kd", "2.25 (-0.250)", ""]]
