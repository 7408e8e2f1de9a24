"""Studies that learn something else than a class a sample, through the command line."""

import json
import re
import sys

import numpy as np
import pytest

from kantor.cli import main
from kantor.core import trust

SHORT = [
    "--methods=none,neuron_transport", "--teacher-epochs=4", "--epochs=3", "--seeds=2", "--batch-size=40", "--jobs=1",
    "--lr=0.05", "--teacher-lr=0.05", "--record-plans=every=0",
]  # fmt: skip
OWN = """
from torch import nn
from kantor.tasks import Task
from kantor.tasks.metrics import Metric

class Net(nn.Module):
    def __init__(self, num_classes: int, width: int = 8):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(width, num_classes, 1)
    def forward(self, x):
        return self.head(self.layer2(self.layer1(x)))

class MAE(Metric):
    name, unit, higher_is_better = "MAE", "kg", False
    def sums(self, outputs, targets):
        error = (outputs[:, 0] - targets).abs().double()
        return error.new_tensor([error.sum(), len(error)])
    def value(self, sums):
        return (sums[0] / sums[1]).item()

class Median(Task):
    name, labels, distributions, metrics = "median", "numbers", False, (MAE(),)
    def loss(self, outputs, targets):
        return (outputs[:, 0] - targets).abs().mean()
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of one's own with data of every kind and a module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delitem(sys.modules, "own_task", raising=False)
    (tmp_path / "own_task.py").write_text(OWN)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(260, 8)).astype(np.float32)
    hidden = np.tanh(x @ generator.normal(size=(8, 5)))
    for name, y in {"numbers": hidden.sum(axis=1), "several": hidden > 0.3}.items():
        np.savez(f"{name}.npz", x_train=x[:160], y_train=y[:160], x_test=x[160:], y_test=y[160:])
    images = generator.integers(0, 256, (120, 6, 6)).astype(np.uint8)
    maps = (images > 100).astype(np.int64) + (images > 180)
    maps[0, 0] = 255
    np.savez("dense.npz", x_train=images[:80], y_train=maps[:80], x_test=images[80:], y_test=maps[80:])
    trust.forget()
    yield tmp_path
    trust.forget()


def vectors(data, task, *more):
    return [
        "distill", f"--data={data}.npz", f"--task={task}", "--teacher=mlp@hidden=48", "--student=mlp@hidden=6", *SHORT,
        *more,
    ]  # fmt: skip


def read(path):
    return json.loads(path.read_text())


def test_regression_selects_tunes_and_reports_by_the_lowest_error(here, capsys):
    assert main(vectors("numbers", "regression", "--select=best", "--tune=0.01,1", "--out=run")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"RMSE [\d.]+ on the test part", said)  # the teacher
    summary = read(here / "run" / "summary.json")
    assert summary["metric"] == {"name": "RMSE", "unit": "", "higher_is_better": False}
    row = summary["methods"]["neuron_transport"]
    assert row["accuracy"] is None
    result = read(here / "run" / "neuron_transport" / "seed-1" / "result.json")
    assert row["values"][1] == result["metrics"]["RMSE"]
    lines = [json.loads(line) for line in (here / "run/neuron_transport/seed-1/metrics.jsonl").read_text().splitlines()]
    seen = [line["validation/RMSE"] for line in lines if line.get("epoch", 0) > 0]
    assert result["epoch"] == 1 + seen.index(min(seen))
    assert result["validation"] == min(seen)
    tuning = read(here / "run" / "tuning.json")["none"]
    assert tuning["chosen"] == min(tuning["trials"], key=lambda trial: trial["validation"])["factor"]
    page = (here / "run" / "report.html").read_text()
    headline = re.sub(r"<[^>]+>", "", re.search(r'<h1 class="headline">(.*?)</h1>', page, re.DOTALL)[1])
    assert re.search(r"RMSE [\d.]+, [\d.]+ (lower|higher)", headline)
    assert "RMSE on the validation part" in page
    assert "accuracy" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL).lower()
    capsys.readouterr()
    assert main(["evaluate", "run/none/seed-0"]) == 0
    assert re.search(r"^RMSE [\d.]+, R2 [\d.-]+ on 100 test samples, loss", capsys.readouterr().out)
    assert main(["watch", "run", "--once"]) == 0
    assert "RMSE" in capsys.readouterr().out


@pytest.mark.slow
def test_every_other_command_takes_numbers_too(here, capsys):
    few = ["--epochs=1", "--seeds=1", "--jobs=1", "--record-plans=every=0"]
    data = ["--data=numbers.npz", "--task=regression"]
    assert main(["distill", *data, "--student=mlp@hidden=6", "--methods=none", *few, "--seeds=2", "--out=run"]) == 0
    first, second = (f"run/none/seed-{seed}" for seed in (0, 1))
    capsys.readouterr()
    # Its own methods: what is for classes alone is left out, and the rest goes on.
    assert main(["finetune", *data, f"--teacher={first}", *few, "--out=tuned"]) == 0
    assert "delta is left out" in " ".join(capsys.readouterr().out.split())
    assert "neuron_transport:1" in read(here / "tuned" / "summary.json")["methods"]
    assert main(["rank", *data, "--teachers", f"{first},{second}", "--out=ranked"]) == 0
    assert main(["compare", first, second, *data, "--out=compared"]) == 0
    assert "they are no classes" in " ".join(capsys.readouterr().out.split())


def test_several_labels(here):
    assert main(vectors("several", "several_labels", "--seeds=1", "--epochs=1", "--out=run")) == 0
    summary = read(here / "run" / "summary.json")
    assert summary["metric"]["name"] == "F1"
    assert 0 < summary["methods"]["none"]["mean"] <= 1
    assert summary["methods"]["none"]["others"].keys() == {"macro F1"}


def test_dense_labels_with_a_network_of_ones_own(here):
    given = ["--teacher=own_task:Net@width=16", "--student=own_task:Net", *SHORT, "--methods=none,kd", "--seeds=1"]
    assert main(["distill", "--data=dense.npz", "--task=dense_labels", *given, "--out=run"]) == 0
    result = read(here / "run" / "kd" / "seed-0" / "result.json")
    assert result["metrics"].keys() == {"mIoU", "pixel accuracy"}
    assert np.sum(result["confusion"]) == 40 * 36  # every position of the test part that has a label


def test_a_task_of_ones_own_by_its_name(here, capsys):
    assert main(vectors("numbers", "own_task:Median", "--seeds=1", "--epochs=1", "--out=run")) == 0
    assert read(here / "run" / "summary.json")["metric"] == {"name": "MAE", "unit": "kg", "higher_is_better": False}
    assert re.search(r"MAE [\d.]+ kg on the test part", " ".join(capsys.readouterr().out.split()))
    assert main(["report", "run"]) == 0  # from its files alone
    # In another process, where nobody wrote the name: made here with it, so it may be imported; elsewhere not.
    trust.forget()
    assert main(["evaluate", "run/none/seed-0"]) == 0
    (here / "run").rename(here / "moved")
    trust.forget()
    capsys.readouterr()
    assert main(["evaluate", "moved/none/seed-0"]) == 2
    assert "own_task:Median" in capsys.readouterr().err
    assert main(["evaluate", "moved/none/seed-0", "--trust=moved"]) == 0


def test_networks_of_numbers_are_ranked_and_compared(here, capsys):
    assert main(vectors("numbers", "regression", "--methods=none", "--seeds=2", "--out=run")) == 0
    given = ["rank", "--data=numbers.npz", "--task=regression", "--teachers=run/none/seed-0,run/none/seed-1"]
    assert main([*given, "--bootstrap=0", "--out=ranks"]) == 0
    ranking = read(here / "ranks" / "ranking.json")
    assert list(ranking["scores"]) == ["logme"]
    both = ["run/none/seed-0", "run/none/seed-1"]
    assert main(["compare", *both, "--data=numbers.npz", "--task=regression", "--out=beside"]) == 0
    assert read(here / "beside" / "compare.json")["predictions"] is None
    capsys.readouterr()
    assert main([*given, "--scores=leep"]) == 2
    assert "scores leep need a class a sample" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--task=regresion"], r"no task 'regresion'.*regression"),
        (["--task=regression", "--labels-per-class=5"], "labels_per_class goes by classes"),
        (["--task=regression", "--methods=kd"], "kd compares predictions as distributions"),
        (["--task=regression", "--select=best", "--validation=0"], "select best needs a validation part"),
        (["--task=several_labels"], "are not a row of 0 and 1"),
        (["--task=labels"], "no class number.*--task regression"),
        (["--task=own_task:Net"], "is no task"),
    ],
)
def test_what_cannot_be_meant_is_said(given, says, capsys):
    arguments = [*vectors("numbers", "regression", "--out=run"), *given]
    assert main(arguments) == 2
    assert re.search(says, " ".join(capsys.readouterr().err.split()))
