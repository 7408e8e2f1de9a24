"""Studies small enough for tests, run by the installed command, and compared file by file."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Augmentation, an averaged cost, a cached teacher and samples without labels on; several epochs, checkpoints between
# their ends.
SMALL = {
    "data": "digits",
    "teacher": "cnn@width=32",
    "teacher-epochs": "2",
    "student": "cnn@width=16",
    "methods": "neuron_transport@plan_momentum=0.9",
    "seeds": "1",
    "train-limit": "300",
    "unlabelled": "120",
    "unlabelled-batch": "16",
    "batch-size": "32",
    "epochs": "5",
    "augment": "mirror",
    "cache": "on",
    "checkpoint-every": "3",
    "log-every": "1",
    "jobs": "1",
}

TINY = [
    "--data=digits", "--teacher=cnn@width=16", "--teacher-epochs=2", "--student=cnn@width=8", "--train-limit=300",
    "--batch-size=25", "--epochs=3", "--seeds=2", "--jobs=1",
]  # fmt: skip
"""Arguments of a study that trains in seconds."""


def kantor(*arguments: str, cwd: Path, **settings: Any) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run(command(*arguments), cwd=cwd, env=environment(), capture_output=True, text=True, **settings)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kantor", *arguments]


def started(*arguments: str, cwd: Path, until: Iterable[Path], **more: str) -> "subprocess.Popen[str]":
    """Start the command in a group of its own, and wait until those files are there.

    Args:
        arguments: of the command.
        cwd: where it is started.
        until: the files.
        more: of its environment.
    """
    process = subprocess.Popen(
        command(*arguments), cwd=cwd, env=environment() | more, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    awaited = list(until)
    while not all(path.exists() for path in awaited) and process.poll() is None:
        time.sleep(0.001)
    return process


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "160"}


def distill(out: str, **changes: str | None) -> list[str]:
    """The arguments of the small study, with changes (None leaves a setting out)."""
    settings = SMALL | {key.replace("_", "-"): value for key, value in changes.items()}
    return ["distill", "--out", out, *(f"--{k}={v}" for k, v in settings.items() if v is not None)]


def processes_of(study: int) -> list[int]:
    """The workers of a study, by its process number."""
    command = ["pgrep", "-P", str(study), "-f", "multiprocessing.spawn"]
    return [int(found) for found in subprocess.run(command, capture_output=True, text=True).stdout.split()]


def assert_same_student(left: Path, right: Path) -> None:
    """Every tensor, optimiser state, metrics line and recorded plan of two seed folders is equal to the bit."""
    for name in ("last.pt", "best.pt"):
        ours, theirs = (torch.load(f / "checkpoints" / name, weights_only=True) for f in (left, right))
        assert_equal(ours, theirs, name)
    for name in ("metrics.jsonl", "student.safetensors"):
        assert (left / name).read_bytes() == (right / name).read_bytes(), name
    plans = sorted(path.name for path in (left / "plans").iterdir())
    assert plans == sorted(path.name for path in (right / "plans").iterdir())
    assert plans
    for name in plans:
        with np.load(left / "plans" / name) as ours, np.load(right / "plans" / name) as theirs:
            assert ours.files == theirs.files
            for key in ours.files:
                np.testing.assert_array_equal(ours[key], theirs[key])
    results = [json.loads((f / "result.json").read_text()) for f in (left, right)]
    for result in results:
        assert result.pop("seconds") > 0
        assert result.pop("peak_memory") > 0
    assert results[0] == results[1]


def assert_equal(ours: Any, theirs: Any, where: str) -> None:
    """Two nested containers hold the same values and, to the bit, the same tensors."""
    assert type(ours) is type(theirs), where
    if isinstance(ours, dict):
        assert list(ours) == list(theirs), where
        for key in ours:
            assert_equal(ours[key], theirs[key], f"{where}/{key}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), where
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_equal(a, b, f"{where}/{index}")
    elif isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype, where
        assert torch.equal(ours, theirs), where
    else:
        assert ours == theirs, where
