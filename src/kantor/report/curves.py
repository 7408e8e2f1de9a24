"""Metrics over epochs, gathered over seeds."""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from kantor.objective.weights import Weight
from kantor.report.run import Run, Student
from kantor.tasks import Scale


def charts(scale: Scale) -> list[tuple[str, str, bool]]:
    """What is drawn over epochs: metric, title, and whether it is a share shown in per cent.

    Args:
        scale: of the metric that students are judged by.
    """
    unit = f" ({scale.unit})" if scale.unit and not scale.is_share else ""
    name = f"{scale.title}{unit}"
    found = [
        (f"validation/{scale.name}", f"{name} on the validation part", scale.is_share),
        ("validation/loss", "Loss on the validation part", False),
        (f"train/{scale.name}", f"{name} on training batches", scale.is_share),
        ("train/task", "Task loss on training batches", False),
    ]
    return list({key: (key, title, share) for key, title, share in found}.values())


WEIGHT = "weight/"
"""Prefix of metrics that hold a term's weight as it acts, where it is limited."""
GRADIENT = "gradient_share/"
"""Prefix of metrics that hold a term's share of the gradient norm, where training records them."""


@dataclass(frozen=True)
class Curve:
    """One metric of one method: the mean over seeds, and the lowest and highest seed."""

    name: str
    epochs: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def curve(name: str, students: list[Student], key: str) -> Curve | None:
    """Gather a metric over seeds, epoch by epoch; None if no epoch has it."""
    values: dict[int, list[float]] = {}
    for student in students:
        for line in student.epochs:
            if line.get(key) is not None:
                values.setdefault(line["epoch"], []).append(line[key])
    if not values:
        return None
    epochs = sorted(values)
    return Curve(
        name,
        epochs,
        [fmean(values[e]) for e in epochs],
        [min(values[e]) for e in epochs],
        [max(values[e]) for e in epochs],
    )


@dataclass(frozen=True)
class Terms:
    """The terms of one method over its epochs, means over seeds. ``task`` comes first."""

    method: str
    names: list[str]
    epochs: list[int]
    values: list[list[float]]
    """``values[term][epoch]``, before the weight."""
    shares: list[list[float]]
    """The weighted value's share of the loss, in [0, 1]."""
    gradient: list[list[float]] | None
    """The term's share of the gradient norm, in [0, 1], where it was recorded."""


def terms(run: Run, method: str) -> Terms | None:
    """Each term's value and weighted share over time; None for a method of fewer than two terms."""
    students = [student for student in run.of(method) if student.result is not None]
    if not students:
        return None
    assert students[0].result is not None
    weights: dict[str, Any] = students[0].result.get("weights", {})
    curves = {name: curve(name, students, f"train/{name}") for name in weights}
    found = {name: c for name, c in curves.items() if c is not None}
    if len(found) < 2:
        return None
    first = next(iter(found.values()))
    last = students[0].result["epochs"]
    values, weighted = [], []
    for name, c in found.items():
        schedule = weights[name] if isinstance(weights[name], dict) else {"value": weights[name]}
        weight = Weight(**schedule)
        values.append(c.mean)
        # A line of epoch e averages the steps before it: their middle is where its weight is read.
        acted = curve(name, students, WEIGHT + name)  # as a limit may have lowered it
        acting = {} if acted is None else dict(zip(acted.epochs, acted.mean, strict=True))
        weighted.append(
            [abs(acting.get(e, weight.at((e - 0.5) / last)) * v) for e, v in zip(c.epochs, c.mean, strict=True)]
        )
    totals = [sum(column) or 1.0 for column in zip(*weighted, strict=True)]
    recorded = [curve(name, students, GRADIENT + name) for name in found]
    gradient = [c.mean for c in recorded if c is not None and c.epochs == first.epochs]
    return Terms(
        method,
        list(found),
        first.epochs,
        values,
        [[v / t for v, t in zip(row, totals, strict=True)] for row in weighted],
        gradient if len(gradient) == len(found) else None,
    )
