"""A run that is killed at any of its writes, before a file takes its place or just after, ends bitwise as it would."""

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from kantor.cli import main
from small import vectors

KILLED = 9
NEVER = ("timing.jsonl", "environment.json", "report.html", ".lock")
"""Files that tell when and where a run ran."""
CHANGES = ("seconds", "seconds_per_seed", "peak_memory", "started")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a copy of this process")]


def study(folder: Path) -> list[str]:
    """Its command line, in a folder of its own with its data."""
    folder.mkdir()
    vectors(folder)
    settings = {
        "data": "vectors.npz", "student": "mlp@hidden=4", "teacher": "mlp@hidden=8", "teacher-epochs": "1",
        "lr": "0.01", "methods": "neuron_transport@plan_momentum=0.9", "seeds": "1", "epochs": "2", "batch-size": "30",
        "jobs": "1", "threads": "1", "device": "cpu", "augment": "none", "checkpoint-every": "2", "cache": "on",
        "out": "runs/run",
    }  # fmt: skip
    return ["distill", *(f"--{name}={value}" for name, value in settings.items())]


def ended(arguments: list[str], folder: Path, kill_at: int = 0) -> tuple[int, int]:
    """The status of the command in a copy of this process, which dies at that write, and how many writes it made.

    A file is written twice: its content to the disk, under another name, and then its name.
    """
    counted = folder / "writes"
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, int(counted.read_text()) if counted.exists() else 0
    status = 1
    try:
        os.chdir(folder)
        writes, real_sync, real_replace = 0, os.fsync, Path.replace

        def one_more() -> None:
            nonlocal writes
            writes += 1
            if writes == kill_at:
                os._exit(KILLED)

        def sync(handle: Any) -> None:
            one_more()
            real_sync(handle)

        def replace(path: Path, target: Any) -> Path:
            placed = real_replace(path, target)
            one_more()
            return placed

        os.fsync, Path.replace = sync, replace  # type: ignore[method-assign]
        status = main(arguments)
        counted.write_text(str(writes))
    finally:
        os._exit(status)


def content(path: Path) -> Any:
    """What a file of a run says, but for times."""
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.suffix == ".pt":
        return repr(_timeless(torch.load(path, weights_only=True)))
    return path.read_bytes()


def _timeless(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _timeless(x) for key, x in found.items() if key not in CHANGES}
    if isinstance(found, list | tuple):
        return [_timeless(x) for x in found]
    return found.numpy().tobytes() if isinstance(found, torch.Tensor) else found


def files(run: Path) -> dict[str, Any]:
    """By name, the files of a run that do not tell when it ran."""
    found = (path for path in sorted(run.rglob("*")) if path.is_file())
    return {str(path.relative_to(run)): content(path) for path in found if path.name not in NEVER}


def test_killed_at_any_write_and_resumed(tmp_path):
    torch.set_num_threads(1)
    whole = tmp_path / "whole"
    status, writes = ended(study(whole), whole)
    assert status == 0 and writes > 60
    expected = files(whole / "runs/run")
    for place in random.Random(0).sample(range(1, writes + 1), 5):
        folder = tmp_path / "killed"
        command = study(folder)
        assert ended(command, folder, kill_at=place)[0] == KILLED, place
        begun = (folder / "runs/run/config.yaml").exists()
        assert ended(["resume", "runs/run"] if begun else command, folder)[0] == 0, place
        assert files(folder / "runs/run") == expected, place
        assert not list(folder.rglob("*.partial")), place
        shutil.rmtree(folder)
