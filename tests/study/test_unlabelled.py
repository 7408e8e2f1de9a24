"""Samples without labels beside the labelled ones, from the command on, on digits."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from kantor.cli import main
from kantor.core.errors import ConfigError
from kantor.study import Study

COMMON = [
    "distill", "--data=digits", "--teacher=cnn@width=32", "--teacher-epochs=6", "--student=cnn@width=16",
    "--methods=none,kd", "--labels-per-class=3", "--validation=0", "--batch-size=10", "--epochs=20", "--seeds=1",
    "--jobs=1", "--record-plans=every=0",
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The same study without and with such samples."""
    folder = tmp_path_factory.mktemp("unlabelled")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*COMMON, "--out=runs/plain"]) == 0
        assert main([*COMMON, "--unlabelled=all", "--unlabelled-batch=60", "--out=runs/more"]) == 0
    return folder / "runs"


def reached(run: Path, method: str) -> float:
    return json.loads((run / "summary.json").read_text())["methods"][method]["mean"]


def test_transfer_learns_from_samples_without_labels(runs):
    assert reached(runs / "more", "kd") > reached(runs / "plain", "kd") + 0.05


def test_the_student_alone_is_trained_as_if_they_were_not_there(runs):
    ours, theirs = (load_file(runs / run / "none" / "seed-0" / "student.safetensors") for run in ("more", "plain"))
    assert all((ours[key] == theirs[key]).all() for key in ours)


def test_the_summary_says_how_many_there_are(runs):
    parts = json.loads((runs / "more" / "summary.json").read_text())["data"]["parts"]
    assert parts["train"]["samples"] == 30 and parts["unlabelled"]["samples"] > 1000


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"unlabelled_batch": 10}, "say how many there are"),
        ({"unlabelled": 10, "unlabelled_batch": 0, "train_limit": 50}, "unlabelled_batch is at least 1"),
    ],
)
def test_settings_that_cannot_be_meant(settings, says):
    with pytest.raises(ConfigError, match=says):
        Study(data="digits", student="cnn", **settings).check()


def test_nothing_to_show_them_to(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["distill", "--data=digits", "--student=cnn@width=8", "--labels-per-class=3", "--unlabelled=all"]
    assert main([*arguments, "--methods=none"]) == 2
    assert "no method transfers" in capsys.readouterr().err


def test_without_a_task_samples_with_and_without_a_label_are_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [
        "distill", "--data=digits", "--teacher=cnn@width=16", "--teacher-epochs=1", "--student=cnn@width=8", "--jobs=1",
        "--task=none", "--methods=neuron_transport", "--validation=0", "--epochs=1", "--batch-size=50", "--seeds=1",
    ]  # fmt: skip
    assert main([*arguments, "--labels-per-class=3", "--unlabelled=all", "--out=runs/some"]) == 0
    assert main([*arguments, "--out=runs/all"]) == 0
    ours, theirs = (
        load_file(tmp_path / "runs" / run / "neuron_transport/seed-0/student.safetensors") for run in ("some", "all")
    )
    assert all((ours[key] == theirs[key]).all() for key in ours)
