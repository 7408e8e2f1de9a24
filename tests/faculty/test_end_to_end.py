"""Two commands: kantor rank, then kantor distill --teacher best:ranking.json; and several teachers at once."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from kantor.cli import main
from kantor.faculty import Ranking
from tests.faculty import planted

DATA = ("--data", "pets.npz", "--label-cost", "glove:vectors.npz")
SMALL = ["--student=cnn@width=8", "--seeds=1", "--epochs=2", "--validation=0", "--batch-size=20"]
SMALL += ["--jobs=1", "--device=cpu"]
RANK = ["rank", *DATA, "--teachers", "related.safetensors,unrelated.safetensors,untrained.safetensors"]
RANK += ["--bootstrap=20", "--device=cpu", "--out"]


@pytest.fixture
def kantor(faculty, monkeypatch, capsys):
    """Runs a command in the faculty's folder, in this process: (status, what it printed)."""
    monkeypatch.chdir(faculty)
    monkeypatch.setenv("COLUMNS", "160")
    threads = torch.get_num_threads()

    def run(*arguments: str) -> tuple[int, str]:
        status = main(arguments)
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    yield run
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def test_rank_then_distill_from_the_best(faculty, kantor):
    status, said = kantor(*RANK, "runs/ranking")
    assert status == 0, said
    assert "Pick related (by transport)" in said
    assert (faculty / "runs/ranking/report.html").exists()

    best = ["distill", "--data", "pets.npz", "--teacher", "best:runs/ranking/ranking.json", *SMALL, "--methods"]
    status, said = kantor(*best, "none,kd+label_transport")
    assert status == 2
    assert "use label_transport" in said  # kd compares classes that are not the same
    status, said = kantor(*best, "none,label_transport:2", "--out", "runs/best")
    assert status == 0, said
    assert "cat <- cat, dog <- dog" in said
    config = yaml.safe_load((faculty / "runs/best/config.yaml").read_text())
    assert (config["teacher"], config["label_cost"]) == ("related.safetensors", "glove:vectors.npz")
    with np.load(faculty / "runs/best/label-costs.npz") as costs:
        assert costs["teacher/cross"].shape == (3, 2)
    lines = (faculty / "runs/best/label_transport=2/seed-0/metrics.jsonl").read_text().splitlines()
    assert "label_transport" in lines[-1]
    assert set(json.loads((faculty / "runs/best/summary.json").read_text())["methods"]) == {"none", "label_transport:2"}


def test_several_teachers_each_with_its_own_classes(faculty, kantor):
    status, said = kantor(*RANK, "runs/several", "--scores", "transport")
    assert status == 0, said
    first, second, _ = Ranking.read(faculty / "runs/several/ranking.json").order
    teachers = ["--teacher", "best@top=2:runs/several/ranking.json", "--teacher-weights", "ranking"]
    method = "label_transport+neuron_transport:3"
    status, said = kantor("distill", *DATA, *teachers, *SMALL, "--methods", method, "--out", "runs/two")
    assert status == 0, said
    result = json.loads((faculty / f"runs/two/{method.replace(':', '=')}/seed-0/result.json").read_text())
    weights = result["weights"]
    assert weights[f"label_transport.{first}"] == pytest.approx(2 * weights[f"label_transport.{second}"])
    assert weights[f"neuron_transport.{first}"] == pytest.approx(2)
    status, said = kantor("resume", "runs/two")
    assert status == 0, said


def test_several_teachers_each_with_its_own_inputs(faculty, kantor):
    planted.teacher(faculty / "large.safetensors", ["cat", "fox", "van"], size=12)
    entries = [
        {"name": "plain", "model": "related.safetensors"},
        {"name": "resized", "model": "cnn@width=16", "weights": "large.safetensors", "preprocess": {"size": 12}},
        {"name": "as-it-comes", "model": "cnn@width=16", "weights": "large.safetensors"},
    ]
    (faculty / "inputs.yaml").write_text(yaml.safe_dump(entries))
    ranked = ["--teachers", "inputs.yaml", "--scores", "transport", "--bootstrap=20", "--device=cpu"]
    status, said = kantor("rank", *DATA, *ranked, "--out", "runs/inputs")
    assert status == 0, said
    ranking = Ranking.read(faculty / "runs/inputs/ranking.json")
    scores = {name: ranking.teacher(name).scores["transport"] for name in ("plain", "resized", "as-it-comes")}
    assert scores["resized"] != scores["as-it-comes"]  # the same weights saw other inputs
    assert scores["resized"] > scores["as-it-comes"]  # and were trained at this size

    teachers = ",".join(ranking.teacher(name).model for name in ("plain", "resized"))
    method = "label_transport+neuron_transport:3"
    command = ["distill", *DATA, "--teacher", teachers, *SMALL, "--methods", method, "--out", "runs/inputs-two"]
    status, said = kantor(*command)
    assert status == 0, said
    last = json.loads(
        (faculty / f"runs/inputs-two/{method.replace(':', '=')}/seed-0/metrics.jsonl").read_text().splitlines()[-1]
    )
    terms = [key for key in last if key.startswith(("train/label_transport.", "train/neuron_transport."))]
    assert len(terms) == 4
    assert all(np.isfinite(last[key]) for key in terms)


@pytest.mark.parametrize("cost", ["learned", "centres:related.safetensors"])
def test_costs_that_are_made_of_outputs(faculty, kantor, cost):
    arguments = ["--data", "pets.npz", "--teacher", "unrelated.safetensors", "--label-cost", cost, *SMALL]
    status, said = kantor("distill", *arguments, "--methods", "label_transport", "--out", f"runs/{cost[:4]}")
    assert status == 0, said


def test_class_names_of_weights_that_carry_none(faculty, kantor):
    save_file(load_file(faculty / "related.safetensors"), faculty / "plain.safetensors")
    plain = ["distill", *DATA, "--teacher", "cnn@width=16:plain.safetensors", *SMALL, "--methods", "label_transport"]
    status, said = kantor(*plain, "--out", "runs/plain")
    assert status == 2
    assert "--teacher-classes" in said
    status, said = kantor(*plain, "--out", "runs/named", "--teacher-classes", "cat,dog,wolf")
    assert status == 0, said


@pytest.mark.slow
def test_two_processes_share_the_teachers(faculty, kantor):
    status, said = kantor(*RANK, "runs/one")
    assert status == 0, said
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "kantor"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *RANK, "runs/two-processes"],
        cwd=faculty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = (Ranking.read(faculty / "runs" / name / "ranking.json") for name in ("one", "two-processes"))
    assert ours.scores == theirs.scores
    assert ours.recommendation in done.stdout
