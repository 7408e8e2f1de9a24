"""A disk that fills up while training: a message, the last checkpoint intact, and an exact end after resume."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from runs import assert_same_student, distill, kantor, processes_of, started

SEED = "neuron_transport@plan_momentum=0.9/seed-0"
pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB of our own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return filler


def test_a_disk_that_fills_up(small_disk):
    done = kantor(*distill("whole", epochs="8"), cwd=small_disk)
    assert done.returncode == 0, done.stderr
    checkpoint = small_disk / "full" / SEED / "checkpoints" / "last.pt"
    study = started(*distill("full", epochs="8"), cwd=small_disk, until=[checkpoint])
    filler = fill(small_disk)
    _, said = study.communicate(timeout=300)
    assert study.returncode == 2, said
    assert "No space left" in said
    assert "kantor resume" in said
    last = torch.load(small_disk / "full" / SEED / "checkpoints" / "last.pt", weights_only=True)
    assert last["position"]["step"] >= 0
    filler.unlink()
    resumed = kantor("resume", "full", cwd=small_disk)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_student(small_disk / "whole" / SEED, small_disk / "full" / SEED)


def test_a_folder_that_cannot_be_written(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    refused = kantor(*distill("run"), cwd=small_disk)
    assert refused.returncode == 2
    assert "Read-only file system" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_killed_worker_is_reported_and_the_others_finish(small_disk):
    # Students are given out in order: the second worker has kd, whose 40 epochs outlast any wait for its number.
    arguments = distill("run", methods="none,kd", jobs="2", epochs="40", checkpoint_every=None)
    study = started(*arguments, cwd=small_disk, until=[small_disk / "run" / "kd" / "seed-0" / "timing.jsonl"])
    found = processes_of(study.pid)
    assert len(found) == 2
    os.kill(max(found), 9)
    _, said = study.communicate(timeout=300)
    assert study.returncode == 2
    assert "kd, seed 0: its process ended with SIGKILL" in said
    assert (small_disk / "run" / "none" / "seed-0" / "result.json").exists()
    assert not (small_disk / "run" / "kd" / "seed-0" / "result.json").exists()
    resumed = kantor("resume", "run", cwd=small_disk)
    assert resumed.returncode == 0, resumed.stderr
    assert (small_disk / "run" / "kd" / "seed-0" / "result.json").exists()
