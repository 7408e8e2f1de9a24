"""A loss, a task, a score and a reader of the user's own, in one module beside theirs, used by the commands alone."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from kantor.cli import main
from kantor.core import trust

MINE = """
from pathlib import Path

import numpy as np
from kantor.losses import TransferLoss, WeightPenalty
from kantor.tasks import Task
from kantor.tasks.metrics import Accuracy
from torch.nn.functional import cross_entropy

Path({mark!r}).touch()


class Centred(TransferLoss):
    name, default_weight, reads = "centred", 1.0, "logits"

    def __init__(self, power: float = 2.0):
        super().__init__()
        self.power = power

    def forward(self, student, teacher, *, targets=None, ids=None):
        gap = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
        return gap.abs().pow(self.power).mean()


class Small(WeightPenalty):
    name, default_weight = "small", 0.001

    def forward(self, student):
        return sum(parameter.pow(2).sum() for parameter in student.parameters())


class Doubled(Task):
    name, metrics = "doubled", (Accuracy(),)

    def loss(self, outputs, targets):
        return 2 * cross_entropy(outputs, targets)


def spread(features, labels):
    means = np.stack([features[labels == c].mean(0) for c in labels.unique()])
    return float(means.std())


def blobs(samples: int = 120, shift: float = 0.0):
    rng = np.random.default_rng(0)
    labels = np.arange(samples) % 3
    x = rng.normal(size=(samples, 6)).astype(np.float32) + 2 * np.eye(3, 6, dtype=np.float32)[labels] + shift
    return {{"x": x, "label": labels, "class_names": ["red", "green", "blue"]}}
"""
QUICK = ["--epochs=1", "--seeds=1", "--jobs=1", "--batch-size=30", "--student=mlp@hidden=4", "--teacher=mlp@hidden=8",
         "--teacher-epochs=1"]  # fmt: skip


@pytest.fixture
def mark(write_module, tmp_path, monkeypatch):
    """A module ``mine`` of the user's; the file that this returns is there once anything has imported it."""
    monkeypatch.chdir(tmp_path)
    write_module("mine", MINE.format(mark=str(tmp_path / "imported")))
    return tmp_path / "imported"


def again(mark: Path) -> None:
    """As a new process begins."""
    trust.forget()
    sys.modules.pop("mine", None)
    mark.unlink(missing_ok=True)


def refused(capsys, *arguments: str) -> str:
    """The message of a command that must fail by it."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


def test_each_is_named_on_the_command_line_trains_ranks_and_resumes(mark, capsys):
    run = ["distill", "--data=mine:blobs@samples=150", "--task=mine:Doubled", *QUICK, "--out=run"]
    methods = "none,mine:Centred@power=1.5:2+kd:auto"
    assert main([*run, f"--methods={methods}"]) == 0
    student = Path("run/mine=Centred@power=1.5=2+kd=auto/seed-0")
    summary = json.loads(Path("run/summary.json").read_text())
    assert list(summary["methods"]) == methods.split(",")
    metrics = [json.loads(line) for line in (student / "metrics.jsonl").read_text().splitlines()]
    assert any("centred" in json.dumps(line) for line in metrics)
    plan = json.loads(Path("run/plan.json").read_text())
    term = plan["bound"]["mine:Centred@power=1.5:2+kd:auto"][0]
    assert (term["loss"], term["settings"], term["name"]) == ("mine:Centred", {"power": 1.5}, "centred")

    # A run made here goes on, and everything that looks at it does.
    weights = (student / "student.safetensors").read_bytes()
    (student / "result.json").unlink()
    (student / "student.safetensors").unlink()
    again(mark)
    assert main(["resume", "run"]) == 0
    assert mark.exists()
    assert (student / "student.safetensors").read_bytes() == weights
    for command in (["probe", "run"], ["analyse", "run"], ["report", "run"], ["watch", "--once", "run"]):
        again(mark)
        assert main(command) == 0, command
    again(mark)
    assert main(["evaluate", str(student), "--data=mine:blobs@shift=0.1"]) == 0

    teachers = f"mlp@hidden=4:{student}/student.safetensors"
    rank = ["rank", "--data=mine:blobs", f"--teachers={teachers}", "--scores=mine:spread,logme", "--bootstrap=10"]
    again(mark)
    assert main([*rank, "--out=ranked"]) == 0
    ranking = json.loads(Path("ranked/ranking.json").read_text())
    assert list(ranking["scores"]) == ["mine:spread", "logme"]
    assert ranking["scores"]["mine:spread"][0]["score"] > 0
    assert "mine:spread" in Path("ranked/report.html").read_text()
    other = str(Path("run/none/seed-0"))
    assert main(["compare", str(student), other, "--data=mine:blobs", "--split=train", "--out=compared"]) == 0


def test_a_run_of_somebody_else_imports_none_of_them(mark, capsys):
    assert main(["distill", "--data=mine:blobs", *QUICK, "--methods=mine:Centred", "--out=run"]) == 0
    student = "other/mine=Centred/seed-0"
    Path("run").rename("other")
    commands = (["resume", "other"], ["probe", "other"], ["evaluate", student], ["analyse", "other"],
                ["distill", "--config=other/config.yaml", "--out=new"])  # fmt: skip
    for command in commands:
        again(mark)
        assert "names code to be imported, mine:" in refused(capsys, *command), command
        assert not mark.exists(), command
    for command in (["report", "other"], ["watch", "--once", "other"]):  # which read results alone
        again(mark)
        assert main(command) == 0
        assert not mark.exists(), command
    again(mark)
    assert main(["resume", "other", "--trust"]) == 0


@pytest.mark.parametrize("setting", ["data", "task", "methods"])
def test_settings_that_were_edited_import_nothing(mark, capsys, setting):
    assert main(["distill", "--data=digits", "--train-limit=60", *QUICK, "--methods=kd", "--out=run"]) == 0
    again(mark)
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    edited = {
        "data": "mine:blobs",
        "task": "mine:Doubled",
        "methods": [{"name": "kd", "terms": [{"loss": "mine:Mean"}]}],
    }
    config[setting] = edited[setting]
    Path("run/config.yaml").write_text(json.dumps(config))
    began = json.loads(Path("run/began.json").read_text())
    Path("run/began.json").write_text(json.dumps(began | {"settings": config}))
    for command in (["resume", "run"], ["probe", "run"], ["evaluate", "run/kd/seed-0"]):
        assert "run/config.yaml names code to be imported, mine:" in refused(capsys, *command), command
        assert not mark.exists()


def test_a_list_of_teachers_names_no_reader_that_was_not_trusted(mark, capsys):
    assert main(["distill", "--data=mine:blobs", *QUICK, "--methods=none", "--out=run"]) == 0
    teacher = {"model": "run/none/seed-0", "data": "mine:blobs@samples=90"}
    Path("teachers.yaml").write_text(json.dumps([teacher]))
    np_data = ["rank", "--data=mine:blobs", "--teachers=teachers.yaml", "--scores=otce", "--out=ranked"]
    again(mark)
    assert "teachers.yaml names code to be imported, mine:blobs" in refused(capsys, *np_data)
    assert not mark.exists()
    assert main([*np_data, "--trust=teachers.yaml"]) == 0


def test_a_ranking_names_no_score_to_be_imported(mark, capsys):
    assert main(["distill", "--data=digits", "--train-limit=60", *QUICK, "--methods=none", "--out=run"]) == 0
    rank = ["rank", "--data=digits", "--train-limit=60", "--teachers=run/none/seed-0", "--bootstrap=2", "--out=ranked"]
    assert main([*rank, "--scores=mine:spread"]) == 0
    again(mark)
    Path("ranked").rename("other")
    use = ["distill", "--data=digits", "--train-limit=60", *QUICK[:-2], "--methods=kd", "--out=next"]
    assert main([*use, "--teacher=best:other/ranking.json"]) == 0
    assert main(["report", "other"]) == 0
    assert not mark.exists()


def test_the_list_of_losses_tells_of_ones_own(mark, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["methods", "kd", "mine:Centred", "mine:Small"]) == 0
    said = capsys.readouterr().out
    assert "mine:Centred" in said and "power: a finite number (2.0)" in said and "same classes" in said
    assert "mine has no loss 'Centre'" in refused(capsys, "methods", "mine:Centre")


def test_what_cannot_be_one_is_refused_before_anything_is_trained(mark, capsys):
    start = ["distill", "--data=mine:blobs", *QUICK, "--out=run"]
    assert "mine:blobs is no loss. Name a subclass of kantor.losses" in refused(capsys, *start, "--methods=mine:blobs")
    assert "mine:Centred: power is a finite number" in refused(capsys, *start, "--methods=mine:Centred@power=x")
    assert "mine has no loss 'Centre'" in refused(capsys, *start, "--methods=mine:Centre")
    assert not Path("run").exists()
    assert "mine:spread is no task, but" in refused(capsys, *start, "--task=mine:spread")
    assert "mine has no reader 'blob'" in refused(capsys, "distill", "--data=mine:blob", *QUICK)
