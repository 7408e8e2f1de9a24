"""Measures of a run's students, as means over seeds with intervals, and paired differences to the student alone."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean
from typing import Any

from rich.table import Table

from kantor.analysis import Matrices, PairFound, Trajectory
from kantor.analysis.file_types import Analysis
from kantor.analysis.measures import HEADINGS, decimals, written
from kantor.core.numbers import between, fixed
from kantor.results.statistics import few, paired_difference, t_interval

ALONE = "none"
"""The method without transfer."""
OF_PAIR = ("distance", "identity", "gap", "diagonal", "entropy", "cka")
"""What is measured of two layers of a final student and its teacher."""


@dataclass(frozen=True)
class Analysed:
    """One final student, and how it came there."""

    method: str
    seed: int
    trajectories: list[Trajectory]
    matrices: dict[str, Matrices]
    """By teacher: its stages in rows, the student's in columns."""
    found: dict[str, list[PairFound]]
    """By teacher."""
    file: str
    """Where the run keeps its neurons."""


def over_seeds(students: list[Analysed]) -> dict[str, Any]:
    """By method: seeds, trajectories, and the final students."""
    methods: dict[str, list[Analysed]] = {}
    for student in students:
        methods.setdefault(student.method, []).append(student)
    alone = {student.seed: student for student in methods.get(ALONE, [])}
    return {
        method: {
            "seeds": [student.seed for student in group],
            "neurons": [student.file for student in group],
            "recorded": [_recorded(group, alone, k) for k in range(min(len(s.trajectories) for s in group))],
            "final": {name: _final(group, alone, name) for name in group[0].found},
        }
        for method, group in methods.items()
    }


def _recorded(group: list[Analysed], alone: Mapping[int, Analysed], k: int) -> dict[str, Any]:
    """One pair of layers over the epochs that all seeds recorded."""
    first = group[0].trajectories[k]
    epochs = sorted(set.intersection(*(set(student.trajectories[k].epochs) for student in group)))

    def at(student: Analysed, name: str, epoch: int) -> float | None:
        trajectory = student.trajectories[k]
        return trajectory.values[name][trajectory.epochs.index(epoch)] if epoch in trajectory.epochs else None

    return {
        **{key: value for key, value in asdict(first).items() if key not in ("epochs", "values")},
        "epochs": epochs,
        "measures": {
            name: {
                "seeds": [[at(student, name, epoch) for epoch in epochs] for student in group],
                **_last(group, alone, lambda student, name=name: at(student, name, epochs[-1])),
            }
            for name in first.values
        },
    }


def _final(group: list[Analysed], alone: Mapping[int, Analysed], teacher: str) -> dict[str, Any]:
    matrices = [student.matrices[teacher] for student in group]
    first = matrices[0]
    cells = {
        name: [
            [fmean(getattr(m, name)[i][j] for m in matrices) for j in range(len(first.columns))]
            for i in range(len(first.rows))
        ]
        for name in ("distance", "cka")
    }
    pairs = []
    for k, pair in enumerate(group[0].found[teacher]):
        measures = {
            name: _last(group, alone, lambda student, k=k, name=name: student.found[teacher][k].facts()[name])
            for name in OF_PAIR
        }
        silent = [list(student.found[teacher][k].matching.silent) for student in group]
        widths = list(pair.matching.cost.shape)
        pairs.append({"teacher": pair.a, "student": pair.b, "widths": widths, "silent": silent, "measures": measures})
    return {"layers": {"teacher": first.rows, "student": first.columns}, **cells, "pairs": pairs}


def _last(
    group: list[Analysed], alone: Mapping[int, Analysed], of: Callable[[Analysed], float | None]
) -> dict[str, Any]:
    """Every seed's value, mean and t interval, and the paired difference to the student alone."""
    values = [of(student) for student in group]
    known = [value for value in values if value is not None]
    both = [
        (ours, theirs)
        for student, ours in zip(group, values, strict=True)
        if student.method != ALONE and student.seed in alone
        if ours is not None and (theirs := of(alone[student.seed])) is not None
    ]
    difference = None
    if both:
        mean, interval = paired_difference([ours for ours, _ in both], [theirs for _, theirs in both])
        difference = {"to": ALONE, "mean": mean, "interval": interval}
    return {
        "last": values,
        "mean": fmean(known) if known else None,
        "interval": t_interval(known),
        "difference": difference,
    }


def table(content: Analysis) -> Table:
    """What ``analysis.json`` holds of the last pair of layers, for a terminal."""
    recorded = any(found["recorded"] for found in content["methods"].values())
    unknown = "" if recorded else "No plans were recorded, so who changed partner is not known (record_plans)."
    too_few = few(len(found["seeds"]) for found in content["methods"].values())
    out = Table(header_style="bold", caption=" ".join(filter(None, (unknown, too_few))) or None)
    shown = [HEADINGS[name] for name in ("gap", "cka", "changed_since_first")]
    for k, heading in enumerate(("method", HEADINGS["distance"], "to alone", "95 % interval", *shown, "seeds")):
        out.add_column(heading, justify="right" if k else "left", no_wrap=True)
    of_methods = {
        name: next(iter(found["final"].values()))["pairs"][-1]["measures"] for name, found in content["methods"].items()
    }
    digits = decimals([measures["distance"]["mean"] for measures in of_methods.values()])
    for name, found in content["methods"].items():
        measures = of_methods[name]
        difference = measures["distance"]["difference"]
        signed = partial(fixed, decimals=digits, signed=True)
        changed = found["recorded"][-1]["measures"]["changed_since_first"].get("mean") if found["recorded"] else None
        out.add_row(
            name,
            written("distance", measures["distance"]["mean"], digits),
            "" if difference is None else signed(difference["mean"]),
            between(difference and difference["interval"], signed),
            *(written(measure, measures[measure]["mean"]) for measure in ("gap", "cka")),
            written("changed_since_first", changed),
            str(len(found["seeds"])),
        )
    return out
