"""Run by test_task_term.py in two processes: gradients of shares with unlike many labels against one process's."""

import copy
import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parents[2]))

import kantor
from kantor.tasks import TokenClassification

SAMPLES, TOKENS, WORDS, CLASSES = 4, 3, 9, 5


def data(ignored: int) -> tuple[Tensor, Tensor]:
    """Tokens and their labels; so many of the first process's six labels are ignored."""
    generator = torch.Generator().manual_seed(ignored)
    tokens = torch.randint(WORDS, (SAMPLES, TOKENS), generator=generator)
    labels = torch.randint(CLASSES, (SAMPLES, TOKENS), generator=generator)
    labels[: SAMPLES // 2].view(-1)[:ignored] = -100
    return tokens, labels


def objective(tagger: nn.Module) -> kantor.Objective:
    """As a loop makes it; its first batch has every label."""
    made = kantor.Objective(tagger, {}, [], task=TokenClassification())
    made.check(data(0), quiet=True)
    return made


def trained(forward: nn.Module, student: nn.Module, rows: slice) -> list[list[Tensor]]:
    """The gradients of every step, and the weights at the end."""
    optimiser = torch.optim.SGD(student.parameters(), lr=0.5)
    found = []
    for ignored in (0, 3, 5, 6):
        tokens, labels = data(ignored)
        forward((tokens[rows], labels[rows])).loss.backward()
        found.append([p.grad.clone() for p in student.parameters() if p.grad is not None])
        optimiser.step()
        optimiser.zero_grad()
        whole = forward.module if isinstance(forward, DistributedDataParallel) else forward
        assert isinstance(whole, kantor.Objective)
        whole.after_step()
    return [*found, [p.detach().clone() for p in student.parameters()]]


def main() -> None:
    """Print the largest difference of any number to one process's."""
    torch.manual_seed(0)
    tagger = nn.Sequential(nn.Embedding(WORDS, 6), nn.Linear(6, CLASSES)).double()
    alone = copy.deepcopy(tagger)
    whole = trained(objective(alone), alone, slice(None))  # before there are two processes: every label together
    dist.init_process_group("gloo")
    rank, half = dist.get_rank(), SAMPLES // 2
    ours = trained(DistributedDataParallel(objective(tagger)), tagger, slice(rank * half, (rank + 1) * half))
    worst = max(
        float((x - y).abs().max()) for one, two in zip(whole, ours, strict=True) for x, y in zip(one, two, strict=True)
    )
    gathered = torch.tensor(worst)
    dist.all_reduce(gathered, dist.ReduceOp.MAX)
    if rank == 0:
        moved = max(float(x.abs().max()) for step in whole for x in step)
        print(json.dumps({"worst": float(gathered), "largest": moved}))
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
