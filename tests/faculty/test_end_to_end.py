"""Two commands: kantor rank, then kantor distill --teacher best:ranking.json; and several teachers at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from kantor.faculty import Ranking

NAMES = ("related", "unrelated", "untrained")
SMALL = [
    "--student",
    "cnn@width=8",
    "--seeds",
    "1",
    "--epochs",
    "2",
    "--validation",
    "0",
    "--batch-size",
    "20",
    "--jobs",
    "1",
]


def kantor(
    *arguments: str, cwd: Path, prefix: tuple[str, ...] = (sys.executable,)
) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "160"}
    command = [*prefix, "-m", "kantor", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)


def rank(faculty: Path, out: str, **how) -> "subprocess.CompletedProcess[str]":
    teachers = ",".join(f"{name}.safetensors" for name in NAMES)
    options = ["--label-cost", "glove:vectors.npz", "--bootstrap", "20", "--device", "cpu", "--out", out]
    return kantor("rank", "--data", "pets.npz", "--teachers", teachers, *options, cwd=faculty, **how)


def test_rank_then_distill_from_the_best(faculty):
    ranked = rank(faculty, "runs/ranking")
    assert ranked.returncode == 0, ranked.stderr
    assert "Pick related (by transport)" in ranked.stdout
    assert (faculty / "runs/ranking/ranking.html").exists()

    teacher = "best:runs/ranking/ranking.json"
    methods = ["--methods", "none,label_transport,kd+label_transport"]
    refused = kantor("distill", "--data", "pets.npz", "--teacher", teacher, *methods, *SMALL, cwd=faculty)
    assert refused.returncode == 2
    assert "use label_transport" in refused.stderr  # kd compares classes that are not the same
    arguments = ["--data", "pets.npz", "--teacher", teacher, "--methods", "none,label_transport:2", *SMALL]
    done = kantor("distill", *arguments, "--out", "runs/best", cwd=faculty)
    assert done.returncode == 0, done.stderr
    assert "cat <- cat, dog <- dog" in done.stdout
    config = yaml.safe_load((faculty / "runs/best/config.yaml").read_text())
    assert (config["teacher"], config["label_cost"]) == ("related.safetensors", "glove:vectors.npz")
    with np.load(faculty / "runs/best/label-costs.npz") as costs:
        assert costs["teacher/cross"].shape == (3, 2)
    lines = (faculty / "runs/best/label_transport=2/seed-0/metrics.jsonl").read_text().splitlines()
    assert "label_transport" in lines[-1]
    assert set(json.loads((faculty / "runs/best/summary.json").read_text())["methods"]) == {"none", "label_transport:2"}


def test_several_teachers_each_with_its_own_classes(faculty):
    ranked = rank(faculty, "runs/several")
    assert ranked.returncode == 0, ranked.stderr
    order = Ranking.read(faculty / "runs/several/ranking.json").order
    arguments = [
        "--data",
        "pets.npz",
        "--teacher",
        "best@top=2:runs/several/ranking.json",
        "--teacher-weights",
        "ranking",
    ]
    methods = ["--methods", "label_transport+neuron_transport:3"]
    done = kantor("distill", *arguments, *methods, *SMALL, "--out", "runs/two", cwd=faculty)
    assert done.returncode == 0, done.stderr
    weights = json.loads((faculty / "runs/two/label_transport+neuron_transport=3/seed-0/result.json").read_text())[
        "weights"
    ]
    first, second = order[:2]
    assert weights[f"label_transport.{first}"] == pytest.approx(2 * weights[f"label_transport.{second}"])
    assert weights[f"neuron_transport.{first}"] == pytest.approx(2)
    resumed = kantor("resume", "runs/two", cwd=faculty)
    assert resumed.returncode == 0, resumed.stderr


def test_class_names_of_weights_that_carry_none(faculty):
    from safetensors.torch import load_file, save_file

    save_file(load_file(faculty / "related.safetensors"), faculty / "plain.safetensors")
    arguments = [
        "--data",
        "pets.npz",
        "--teacher",
        "cnn@width=16:plain.safetensors",
        "--label-cost",
        "glove:vectors.npz",
    ]
    methods = ["--methods", "label_transport", *SMALL, "--out", "runs/plain"]
    refused = kantor("distill", *arguments, *methods, cwd=faculty)
    assert refused.returncode == 2
    assert "--teacher-classes" in refused.stderr
    done = kantor("distill", *arguments, *methods[:-1], "runs/named", "--teacher-classes", "cat,dog,wolf", cwd=faculty)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_share_the_teachers(faculty):
    one = rank(faculty, "runs/one")
    two = rank(
        faculty,
        "runs/both",
        prefix=(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"),
    )
    assert two.returncode == 0, two.stderr
    ours, theirs = (Ranking.read(faculty / "runs" / name / "ranking.json") for name in ("one", "both"))
    assert one.stdout.splitlines()[-2] == two.stdout.splitlines()[-2]
    assert ours.scores == theirs.scores
