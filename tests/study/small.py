"""A study of vectors that trains in a blink, for tests in this process."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kantor.study import Study


def vectors(folder: Path, samples: int = 60, classes: int = 2) -> Path:
    """Vectors whose first coordinates tell their classes, in an npz with a test part of 20."""
    generator = np.random.default_rng(0)
    targets = np.arange(samples + 20) % classes
    x = generator.normal(size=(len(targets), 4)).astype(np.float32)
    x[:, 0] += 4 * targets
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vectors.npz"
    np.savez(path, x_train=x[:samples], y_train=targets[:samples], x_test=x[samples:], y_test=targets[samples:])
    return path


def settings(folder: Path, **changes: Any) -> Study:
    """The student alone, two seeds of two epochs, in ``folder/runs/run``."""
    if not (folder / "vectors.npz").exists():
        vectors(folder)
    given = {
        "data": str(folder / "vectors.npz"),
        "student": "mlp@hidden=4",
        "methods": "none",
        "seeds": 2,
        "epochs": 2,
        "teacher_epochs": 2,
        "batch_size": 20,
        "jobs": 1,
        "threads": 1,
        "out": str(folder / "runs" / "run"),
    }
    return Study(**(given | changes))


def console() -> Console:
    """Keeps what is printed, wide enough for a line to stay one."""
    return Console(file=io.StringIO(), width=240)


def printed(to: Console) -> str:
    """What was printed so far."""
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()
