"""The task's term of a share of a batch: its mean over processes is that of all labels together."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kantor.objective import task_term
from kantor.tasks import TokenClassification

TASK = TokenClassification()


def gradient(logits, targets, rows, **given):
    leaf = logits[rows].clone().requires_grad_()
    task_term.task_value(TASK, leaf, targets[rows], **given).backward()
    return leaf.grad


@pytest.mark.parametrize("unlabelled", [0, 3, 6], ids="{} of the first share's six tokens count".format)
def test_two_processes_of_unlike_many_labels_learn_what_one_does(unlabelled, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 5, generator=generator, dtype=torch.double)
    targets = torch.randint(5, (4, 3), generator=generator)
    targets[:2].view(-1)[:unlabelled] = -100
    whole = gradient(logits, targets, slice(None), expected=None, learning=True)

    counts = torch.tensor(float(TASK.counted(targets)))
    monkeypatch.setattr(task_term, "world_size", lambda: 2)
    monkeypatch.setattr(task_term, "sum_over_ranks", lambda _: counts)  # what both would hear
    shares = [gradient(logits, targets, rows, expected=None, learning=True) for rows in (slice(2), slice(2, 4))]
    torch.testing.assert_close(torch.cat(shares) / 2, whole)  # as DistributedDataParallel takes the mean


def test_a_share_of_full_size_is_left_as_it_is(monkeypatch):
    logits, targets = torch.randn(4, 3, 5), torch.zeros(4, 3, dtype=torch.long)
    monkeypatch.setattr(task_term, "world_size", lambda: 2)
    monkeypatch.setattr(task_term, "sum_over_ranks", lambda count: 2 * count)
    value = task_term.task_value(TASK, logits, targets, expected=None, learning=True)
    assert torch.equal(value, TASK(logits, targets))


@pytest.mark.slow
def test_two_real_processes_learn_what_one_does():
    """Four steps, in which none to all of one process's labels are ignored; the other process has all of its own."""
    script = Path(__file__).parent / "two_processes.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert found["largest"] > 0.01, "nothing was learnt that could be compared"
    assert found["worst"] < 1e-12
