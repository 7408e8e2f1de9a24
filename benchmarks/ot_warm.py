"""What a slow plan and a warm start save in a distillation run.

``python benchmarks/ot_warm.py [--data DIR --teacher resnet56:FILE --student resnet8] [--out runs/bench/ot]`` trains,
for each way to estimate the cost between neurons, students that follow a teacher by neuron transport; it reports the
median passes per step after step 20, from zero and from the last potentials, and the students' accuracy. Without data
it trains its own teacher on digits (scikit-learn), some two minutes; with CIFAR-10 and a ResNet-8, about 25 minutes on
one idle core.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kantor import models, ot
from kantor.data import open_data
from kantor.losses.slow_plan import DRIFT

HERE = Path(__file__).resolve().parent
WAYS = {"batch alone": 0.0, "momentum .9": 0.9, "momentum .99": 0.99, "refreshed each epoch": None}
EPSILON, TOL, BATCH = 0.05, 1e-3, 128
REFRESH = 2_000
"""Samples from which a plan that is renewed each epoch is solved."""


class Net(nn.Module):
    """A model, with what enters its classifier beside its logits."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
        last.register_forward_pre_hook(self._keep)

    def _keep(self, layer: nn.Module, given: tuple[Tensor, ...]) -> None:  # noqa: ARG002
        self.features = given[0]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.model(x), self.features


def in_batches(net: Net, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and features of many samples, with statistics as trained."""
    net.eval()
    with torch.no_grad():
        found = [net(part) for part in x.split(500)]
    net.train()
    return torch.cat([logits for logits, _ in found]), torch.cat([features for _, features in found])


def accuracy(net: Net, x: Tensor, y: Tensor) -> float:
    return 100 * (in_batches(net, x)[0].argmax(1) == y).double().mean().item()


def train(
    spec: str, seed: int, epochs: int, data: Any, targets: Tensor | None, way: float | None, weight: float = 10.0
) -> dict[str, Any]:
    """A student that follows the teacher's features ``targets [samples, m]`` of the same images, where given."""
    x, y, x_test, y_test = data
    torch.manual_seed(seed)
    net = Net(models.load(spec, classes=int(y.max()) + 1, input_shape=tuple(x.shape[1:])))
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = epochs * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=steps)
    average, potentials, drift, cold, warm = None, None, torch.zeros((), dtype=torch.float64), [], []
    for step in range(steps):
        place = step % (len(x) // BATCH)
        if place == 0:
            order = torch.randperm(len(x))
            if way is None and targets is not None:
                some = torch.randperm(len(x))[:REFRESH]
                average = ot.moments(in_batches(net, x[some])[1], targets[some])
        rows = order[place * BATCH : (place + 1) * BATCH]
        logits, features = net(x[rows])
        loss = F.cross_entropy(logits, y[rows])
        if targets is not None:
            now = ot.moments(features, targets[rows])
            held = now.map(torch.Tensor.detach)
            if way is not None:
                average = held if average is None else average.scaled(way) + held.scaled(1 - way)
            assert average is not None
            slow = ot.normalised(ot.cost_from(average), "mean").float()
            from_zero = ot.solve(slow, None, None, EPSILON, TOL)
            # As kantor.losses.slow_plan starts: a running average goes on moving as it moved in the last steps.
            start = None if potentials is None else (potentials[0], potentials[1] + drift)
            transport = ot.solve(slow, None, None, EPSILON, TOL, potentials=start)
            assert transport.potentials is not None
            if way and potentials is not None:
                drift = torch.lerp(drift, transport.potentials[1] - potentials[1], DRIFT)
            potentials = transport.potentials
            cold.append(int(from_zero.iterations))
            warm.append(int(transport.iterations))
            loss = loss + weight * (transport.plan * ot.cost_from(now)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return {"net": net, "accuracy": accuracy(net, x_test, y_test), "cold": cold[20:], "warm": warm[20:]}


def digits() -> tuple[Any, Tensor, str, str]:
    """A few labelled digits, the features of a teacher trained on all, and what both are."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = torch.from_numpy(bunch.images).float()[:, None] / 16, torch.from_numpy(bunch.target).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train_rows, test = order[:1437], order[1437:]
    teacher = train("cnn@width=64", 0, 15, (x[train_rows], y[train_rows], x[test], y[test]), None, None)
    few = train_rows[torch.cat([torch.nonzero(y[train_rows] == k)[:26, 0] for k in range(10)])]
    about = f"digits: teacher of 64 channels ({teacher['accuracy']:.1f} %), {len(few)} training images"
    return (x[few], y[few], x[test], y[test]), in_batches(teacher["net"], x[few])[1], "cnn@width=32", about


def folder(path: str, teacher: str, student: str, limit: int) -> tuple[Any, Tensor, str, str]:
    """The first images of a data set's training part, a given teacher's features of them, and what both are."""
    opened = open_data(path, train_limit=limit, validation=0)
    assert opened.test is not None
    data = []
    for part in (opened.train, opened.test):
        rows = part.rows[:2_000] if part is opened.test else part.rows
        data += [part.stores["student"].read(rows), torch.from_numpy(part.targets[: len(rows)])]
    network = Net(models.load(teacher, classes=opened.classes))
    logits, targets = in_batches(network, data[0])
    scored = 100 * (logits.argmax(1) == data[1]).double().mean().item()
    about = (
        f"{opened.name}: teacher {teacher.partition(':')[0]} ({scored:.1f} % of the training images), {len(data[0])} "
    )
    return tuple(data), targets, student, f"{about}training images, the first {len(data[2])} for testing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "bench" / "ot")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", help="a data set of images; without it, digits")
    parser.add_argument("--teacher", help="its teacher: NAME:FILE")
    parser.add_argument("--student", default="resnet8")
    parser.add_argument("--limit", type=int, default=5_000, help="training images")
    parser.add_argument("--epochs", type=int, help="120 on digits, 10 on other data")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.data:
        name = Path(options.data).name
        data, targets, spec, about = folder(options.data, options.teacher, options.student, options.limit)
    else:
        name = "digits"
        data, targets, spec, about = digits()
    epochs = options.epochs or (10 if options.data else 120)
    weight = 20.0 if options.data else 10.0
    rows = []
    alone = [train(spec, seed, epochs, data, None, None)["accuracy"] for seed in range(options.seeds)]
    options.out.mkdir(parents=True, exist_ok=True)
    for way_name, way in WAYS.items():
        runs = [train(spec, seed, epochs, data, targets, way, weight) for seed in range(options.seeds)]
        cold = statistics.median(c for run in runs for c in run["cold"])
        warm = statistics.median(w for run in runs for w in run["warm"])
        rows.append({"way": way_name, "cold": cold, "warm": warm, "accuracy": [run["accuracy"] for run in runs]})
        print(rows[-1], flush=True)
    about = f"{about}, student {spec}, {epochs} epochs, weight {weight:g}, epsilon {EPSILON}, tol {TOL:g}"
    content = {"about": about, "seeds": options.seeds, "rows": rows, "alone": alone}
    (options.out / f"ot-warm-{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
