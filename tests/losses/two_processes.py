"""Run by test_two_processes.py in two processes: every loss there against the same loss in one process."""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from kantor.losses.base import Features, TransferLoss
from tests.losses.cases import CASES, Case

RANKS = 2


def layers(x: Features) -> tuple[Tensor, ...]:
    return x if isinstance(x, tuple) else (x,)


def rounds(case: Case, loss: TransferLoss, rows: slice) -> list[list[Tensor]]:
    """Two steps: the value, then the gradients of the student's rows and of the parameters."""
    found = []
    for seed in (1, 2):
        student, teacher = case.features(seed, torch.float64)
        s = tuple(x[rows].detach().clone().requires_grad_() for x in layers(student))
        t = tuple(x[rows] for x in layers(teacher))
        labels = {key: None if x is None else x[rows] for key, x in case.labels(seed).items()}
        value = loss(s if case.many else s[0], t if case.many else t[0], **labels)
        parameters = [p for p in loss.parameters() if p.requires_grad]
        value.backward()
        found.append([value.detach(), *(x.grad for x in s), *(p.grad for p in parameters)])
        for parameter in parameters:
            parameter.grad = None
        loss.after_step()
    return found


def difference(case: Case, expected: list[list[Tensor]], rank: int) -> float:
    """The largest difference from one process, relative to the largest of its kind."""
    worst = 0.0
    many = len(layers(case.features(1)[0]))
    for theirs, ours in zip(
        expected, rounds(case, case.build(dtype=torch.float64), slice(rank, None, RANKS)), strict=True
    ):
        scale = max(float(x.abs().max()) for x in theirs[1:])
        for place, (there, here) in enumerate(zip(theirs, ours, strict=True)):
            if 1 <= place <= many:
                worst = max(worst, float((here / RANKS - there[rank::RANKS]).abs().max()) / scale)
            else:
                mean = here.clone()
                dist.all_reduce(mean)
                size = scale if place else float(there.abs())
                worst = max(worst, float((mean / RANKS - there).abs().max()) / size)
    return worst


def main() -> None:
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    alone = [rounds(case, case.build(dtype=torch.float64), slice(None)) for case in CASES]
    dist.init_process_group("gloo")
    worst = {case.name: difference(case, expected, rank) for case, expected in zip(CASES, alone, strict=True)}
    together = torch.tensor([worst[case.name] for case in CASES], dtype=torch.float64)
    dist.all_reduce(together, op=dist.ReduceOp.MAX)
    if rank == 0:
        print(json.dumps(dict(zip(worst, together.tolist(), strict=True))))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
