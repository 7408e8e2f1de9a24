"""Two processes under torchrun against one: what the page on several GPUs promises of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kantor.training.processes import joined_processes
from runs import command, environment

# Batches of 24 from 240 samples: each process has as many samples of every batch as the other.
ARGUMENTS = [
    *("distill", "--data=digits", "--train-limit=240", "--validation=0", "--batch-size=24", "--epochs=2", "--lr=0.02"),
    *("--teacher=mlp@hidden=16", "--teacher-epochs=2", "--methods=kd+neuron_transport", "--seeds=1", "--log-every=1"),
    *("--device=cpu", "--record-plans=every=0", "--augment=none", "--threads=1"),
]
SEED = Path("kd+neuron_transport/seed-0")


def test_one_process_joins_nothing():
    with joined_processes(cpu=True):
        assert not torch.distributed.is_initialized()


def trained(folder: Path, student: str, processes: int) -> tuple[dict[str, list[float]], dict[str, torch.Tensor], str]:
    """Losses of every term by step, the student's weights, and what was said."""
    out = f"{student.partition('@')[0]}-{processes}"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "kantor"]
    arguments = [*ARGUMENTS, f"--student={student}", f"--out={out}"]
    done = subprocess.run(
        [*torchrun, *arguments] if processes == 2 else command(*arguments, "--jobs=1"),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / out / SEED / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "step/loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 21))
    # Neuron transport is a term for each of several stages.
    losses: dict[str, list[float]] = {
        name: [sum(x for key, x in line.items() if f"{key}.".startswith(f"step/{name}.")) for line in steps]
        for name in ("task", "kd", "neuron_transport")
    }
    return losses, load_file(folder / out / SEED / "student.safetensors"), done.stdout


@pytest.mark.slow
def test_a_perceptron_is_the_same_up_to_rounding(tmp_path):
    (one, ours, _), (two, theirs, said) = (trained(tmp_path, "mlp@hidden=12", n) for n in (1, 2))
    for name in one:
        assert one[name] == pytest.approx(two[name], abs=1e-4), name
    assert one["neuron_transport"][-1] < one["neuron_transport"][0] - 0.05, "nothing was learnt that could be compared"
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, atol=1e-4, rtol=1e-3)
    assert "train another student" not in said


@pytest.mark.slow
def test_with_batch_norm_each_process_sees_its_own_share_and_step_0_says_so(tmp_path):
    (one, ours, alone), (two, theirs, said) = (trained(tmp_path, "cnn@width=4", n) for n in (1, 2))
    assert "Batch norm sees each process's own share of the batch: 2 processes train another student" in said
    assert "own share" not in alone
    # Another student from the first step on, and not another training: losses stay near each other.
    assert abs(one["kd"][0] - two["kd"][0]) > 1e-3
    for name in one:
        assert one[name] == pytest.approx(two[name], rel=0.1), name
    means = [name for name in ours if name.endswith("running_mean")]
    assert means
    assert any((ours[name] - theirs[name]).abs().max() > 1e-4 for name in means)
