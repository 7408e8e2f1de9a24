"""What a slow plan and a warm start save in a distillation run on digits.

``python benchmarks/ot_warm.py [--out docs/benchmarks]`` trains a teacher and, for each way to estimate the cost between
neurons, students that follow it by neuron transport; it reports the median passes per step after step 20, from zero
and from the last potentials, and the students' accuracy. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from kantor import ot

HERE = Path(__file__).resolve().parent
WAYS = {"batch alone": 0.0, "momentum .9": 0.9, "momentum .99": 0.99, "refreshed each epoch": None}
EPSILON, TOL, BATCH = 0.05, 1e-3, 128


class Net(nn.Module):
    """Three convolutions and a classifier; ``forward`` returns logits and the pooled last layer."""

    def __init__(self, width: int):
        super().__init__()
        widths = [1, width // 4, width // 2, width]
        self.body = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(i, o, 3, 1 + (k > 0), 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
                for k, (i, o) in enumerate(itertools.pairwise(widths))
            )
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x).mean((2, 3))
        return self.head(features), features


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    data = load_digits()
    x = torch.from_numpy(data.images).float()[:, None] / 16
    y = torch.from_numpy(data.target).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:1437], order[1437:]
    return x[train], y[train], x[test], y[test]


def accuracy(net: Net, x: Tensor, y: Tensor) -> float:
    net.eval()
    with torch.no_grad():
        right = (net(x)[0].argmax(1) == y).double().mean().item()
    net.train()
    return 100 * right


def train(width: int, seed: int, epochs: int, data: Any, teacher: Net | None, way: float | None) -> dict[str, Any]:
    x, y, x_test, y_test = data
    torch.manual_seed(seed)
    net = Net(width)
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = epochs * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=steps)
    average, potentials, cold, warm = None, None, [], []
    for step in range(steps):
        place = step % (len(x) // BATCH)
        if place == 0:
            order = torch.randperm(len(x))
            if way is None and teacher is not None:
                net.eval()
                with torch.no_grad():
                    average = ot.moments(net(x)[1], teacher(x)[1])
                net.train()
        rows = order[place * BATCH : (place + 1) * BATCH]
        logits, features = net(x[rows])
        loss = F.cross_entropy(logits, y[rows])
        if teacher is not None:
            with torch.no_grad():
                target = teacher(x[rows])[1]
            now = ot.moments(features, target)
            held = now.map(torch.Tensor.detach)
            if way is not None:
                average = held if average is None else average.scaled(way) + held.scaled(1 - way)
            assert average is not None
            slow = ot.normalised(ot.cost_from(average), "mean").float()
            from_zero = ot.solve(slow, None, None, EPSILON, TOL)
            transport = ot.solve(slow, None, None, EPSILON, TOL, potentials=potentials)
            potentials = transport.potentials
            cold.append(int(from_zero.iterations))
            warm.append(int(transport.iterations))
            loss = loss + 10.0 * (transport.plan * ot.cost_from(now)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return {"net": net, "accuracy": accuracy(net, x_test, y_test), "cold": cold[20:], "warm": warm[20:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "benchmarks")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = digits()
    teacher = train(64, 0, 15, data, None, None)
    teacher["net"].eval()
    few = torch.cat([torch.nonzero(data[1] == k)[:26, 0] for k in range(10)])
    small = (data[0][few], data[1][few], data[2], data[3])
    rows = []
    lines = [
        "# Slow plan and warm start on digits",
        "",
        f"Teacher of 64 channels ({teacher['accuracy']:.1f} %), students of 32 on {len(few)} images, correlation cost "
        f"over its mean, epsilon {EPSILON}, tol {TOL:g}; passes over the kernel per step after step 20.",
        "",
        "| the plan's cost | passes from zero | from the last potentials | share | accuracy |",
        "|---|---|---|---|---|",
    ]
    alone = [train(32, seed, 120, small, None, None)["accuracy"] for seed in range(options.seeds)]
    for name, way in WAYS.items():
        runs = [train(32, seed, 120, small, teacher["net"], way) for seed in range(options.seeds)]
        cold = statistics.median(c for run in runs for c in run["cold"])
        warm = statistics.median(w for run in runs for w in run["warm"])
        scores = [run["accuracy"] for run in runs]
        rows.append({"way": name, "cold": cold, "warm": warm, "accuracy": scores})
        lines.append(f"| {name} | {cold:g} | {warm:g} | {warm / cold:.2f} | {statistics.fmean(scores):.1f} |")
    lines += ["", f"The student alone: {statistics.fmean(alone):.1f} %. {options.seeds} seeds."]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ot-warm.md").write_text("\n".join(lines) + "\n")
    (options.out / "ot-warm.json").write_text(json.dumps({"rows": rows, "alone": alone}, indent=1))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
