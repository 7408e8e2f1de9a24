"""Recorded transport plans, read from a run and packed small enough for a page."""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from kantor.core.files import read_npz
from kantor.ot.ordering import structured
from kantor.report.run import Run, Student
from kantor.training.plans import DAMAGED, quantised

PARTNERS = 3
"""Strongest partners kept of each unit where the drawn plan is binned."""
READING = 2
"""Masses of a plan kept in steps that are read in the time that one of a drawn plan takes."""


@dataclass(frozen=True)
class Level:
    """How much of the recorded plans goes into a page; None is all of it."""

    bins: int = 512
    epochs: int | None = None
    seeds: int | None = None


LEVELS = (
    Level(),
    Level(256),
    Level(256, epochs=13),
    Level(256, epochs=13, seeds=3),
    Level(128, epochs=13, seeds=3),
    Level(128, epochs=7, seeds=1),
    Level(64, epochs=3, seeds=1),
)
"""From everything to little, tried in turn until a page is small enough."""


@dataclass(frozen=True)
class Packed:
    """The plans of one run: what the page's script reads, and the blobs it unpacks on demand."""

    index: dict[str, Any]
    blobs: list[str]
    left_out: str
    """What of the recorded plans is not in the page; empty if nothing."""

    @property
    def size(self) -> int:
        """Characters of the blobs."""
        return sum(map(len, self.blobs))


def pack_plans(run: Run, level: Level) -> Packed | None:
    """Pack every recorded plan of a run.

    A set is one pair of layers of one student, all its epochs: masses quantised to the square root of their share of
    the set's largest in 255 steps (relative error of a half per cent at the top, and zero below a 65,000th), ordered
    by the structure of the last epoch, binned where larger than the level allows, deflated, in base64. With it go the
    strongest partners of each unit that is not drawn by itself, and the probe samples that excite each unit most.

    Args:
        run: the run.
        level: how much of it.

    Returns:
        The packed plans, or None where none was recorded.
    """
    sets: list[dict[str, Any]] = []
    blobs: list[str] = []
    pairs: list[dict[str, Any]] = []
    left: set[str] = set()
    for method in dict.fromkeys(student.method for student in run.students):
        students = [student for student in run.of(method) if _files(student)]
        if level.seeds is not None and len(students) > level.seeds:
            left.add(f"{level.seeds} seeds of each method")
            students = students[: level.seeds]
        for student in students:
            files = _files(student)
            if level.epochs is not None and len(files) > level.epochs:
                left.add(f"{level.epochs} of {len(files)} recorded epochs")
                files = [files[k] for k in np.linspace(0, len(files) - 1, level.epochs).round().astype(int)]
            for recorded in _read(files):
                known = _describe(run, recorded)
                pair = next((k for k, other in enumerate(pairs) if known.items() <= other.items()), len(pairs))
                if pair == len(pairs):
                    pairs.append(known)
                    if recorded.exciting is not None:  # the teacher stands still: the same in every set
                        pairs[pair] |= {"blob": len(blobs)}
                        blobs.append(_deflated(recorded.exciting[0].astype("<i2")))
                packed, blob = _pack(recorded, level.bins)
                packed |= {"pair": pair, "method": method, "seed": student.seed, "blob": len(blobs)}
                sets.append(packed)
                blobs += blob
    if not sets:
        return None
    said = f"The page holds {' and '.join(sorted(left))}; the rest is in the run's folder." if left else ""
    return Packed({"pairs": pairs, "sets": sets}, blobs, said)


def cells(run: Run, level: Level) -> int:
    """How many masses :func:`pack_plans` would read and draw, told from the first record of every student."""
    total = 0
    for method in dict.fromkeys(student.method for student in run.students):
        students = [student for student in run.of(method) if _files(student)]
        for student in students[: level.seeds]:
            files = _files(student)
            for recorded in _read(files[:1]):
                rows, columns = (min(size, level.bins) for size in recorded.shape)
                each = rows * columns + recorded.masses[0].size // READING * (recorded.largest is not None)
                total += len(files[: level.epochs]) * each
    return total


@dataclass(frozen=True)
class _Recorded:
    """One pair of layers of one student over its recorded epochs."""

    student: str
    teacher: str
    widths: tuple[int, int]
    epochs: list[int]
    masses: list[NDArray]
    """By epoch, ``[teacher, student]``: as they are, or in steps of the largest where the layers are wide."""
    largest: list[float] | None
    """By epoch, the largest mass, where masses are kept in steps."""
    cost: NDArray | None
    """The last epoch's, where masses are as they are."""
    kept_order: tuple[NDArray, NDArray] | None
    """Rows and columns by the structure of the last epoch, where it was recorded."""
    paid: list[tuple[float, float]] | None
    """By epoch, the cost of the plan and that of the uniform plan."""
    exciting: tuple[NDArray, NDArray] | None
    """Probe samples that excite a unit most: the teacher's ``[width, k]``, the student's ``[epochs, width, k]``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of every plan."""
        return self.masses[0].shape

    @cached_property
    def order(self) -> tuple[NDArray, NDArray]:
        """Rows and columns as they are drawn: by the structure of the last epoch."""
        return structured(self.masses[-1], self.cost) if self.kept_order is None else self.kept_order

    def plan(self, index: int) -> Float[np.ndarray, "teacher student"]:
        """The plan of the ``index``-th recorded epoch."""
        if self.largest is None:
            return self.masses[index]
        steps = np.square(np.arange(256, dtype=np.float32) / 255) * self.largest[index]
        return steps[self.masses[index]]


def _files(student: Student) -> list[Path]:
    return sorted((student.folder / "plans").glob("epoch-*.npz"))


def _read(files: Sequence[Path]) -> list[_Recorded]:
    content = [read_npz(path, DAMAGED) for path in files]
    epochs = [int(path.stem.partition("-")[2]) for path in files]
    return [_recorded(content, k, epochs) for k in range(sum(name.startswith("plan_") for name in content[0]))]


def _recorded(content: list[dict[str, NDArray]], k: int, epochs: list[int]) -> _Recorded:
    first, last = content[0], content[-1]
    with_masses = f"masses_{k}" in first
    cost = last.get(f"cost_{k}")
    paid: list[tuple[float, float]] | None = None
    if with_masses:
        paid = [(float(record[f"paid_{k}"][0]), float(record[f"paid_{k}"][1])) for record in content]
    elif cost is not None:
        both = [(record[f"plan_{k}"], record[f"cost_{k}"]) for record in content]
        paid = [(float((p * c).sum()), float(c.mean())) for p, c in both]
    exciting = None
    if f"teacher_exciting_{k}" in first:
        of_student = np.stack([record[f"student_exciting_{k}"] for record in content])
        exciting = first[f"teacher_exciting_{k}"], of_student
    return _Recorded(
        student=str(first[f"student_layer_{k}"]),
        teacher=str(first[f"teacher_layer_{k}"]),
        widths=(int(first[f"widths_{k}"][0]), int(first[f"widths_{k}"][1])),
        epochs=epochs,
        masses=[record[f"{'masses' if with_masses else 'plan'}_{k}"] for record in content],
        largest=[float(record[f"largest_{k}"]) for record in content] if with_masses else None,
        cost=cost,
        kept_order=(last[f"rows_{k}"], last[f"columns_{k}"]) if with_masses else None,
        paid=paid,
        exciting=exciting,
    )


def _describe(run: Run, recorded: _Recorded) -> dict[str, Any]:
    source, _, layer = recorded.teacher.rpartition(":")
    classes = run.plan.get("teachers", {}).get(source, {}).get("facts", {}).get("classes")
    return {
        "student": recorded.student,
        "teacher": recorded.teacher,
        "widths": list(recorded.widths),
        "studentNames": _names(recorded.student, run.class_names, recorded.widths[1]),
        "teacherNames": _names(layer, classes, recorded.widths[0]),
    }


def _names(layer: str, classes: Any, width: int) -> list[str] | None:
    # Only the units of a model's output are classes.
    return classes if layer == "logits" and isinstance(classes, list) and len(classes) == width else None


def _pack(recorded: _Recorded, bins: int) -> tuple[dict[str, Any], list[str]]:
    rows, columns = recorded.order
    shape = [min(size, bins) for size in recorded.shape]
    drawn = np.empty((len(recorded.epochs), *shape), np.float32)
    partners: list[list[tuple[NDArray, NDArray]]] = [[], []]
    facts: dict[str, list[float | None]] = {"best": [], "moved": []}
    before = None
    for index in range(len(recorded.epochs)):  # one after the other: whole plans of wide layers would fill the memory
        plan = recorded.plan(index)
        drawn[index] = _binned(_binned(plan[rows][:, columns], bins, axis=0), bins, axis=1)
        if list(plan.shape) != shape:
            for side, matrix in zip(partners, (plan, plan.T), strict=True):
                side.append(_partners(matrix))
        facts["best"].append(round(float(plan.max(axis=1).sum() / plan.sum()), 4))
        facts["moved"].append(None if before is None else float(0.5 * np.abs(plan - before).sum()))
        before = plan
    if recorded.paid is not None:
        facts |= {name: [paid[k] for paid in recorded.paid] for k, name in enumerate(("cost", "uniform"))}
    scale = float(drawn.max()) or 1.0
    blobs = [_deflated(quantised(drawn, scale))]
    packed: dict[str, Any] = {
        "epochs": recorded.epochs,
        "shape": shape,
        "scale": scale,
        "rows": rows.tolist(),
        "columns": columns.tolist(),
        "facts": facts,
        "partners": [0, 0],
        "exciting": 0,
    }
    if partners[0]:
        packed["partners"] = [side[0][0].shape[1] for side in partners]
        for side in partners:
            top, share = (np.stack(arrays) for arrays in zip(*side, strict=True))
            blobs += [_deflated(top.astype("<u2")), _deflated((255 * share).round().astype(np.uint8))]
    if recorded.exciting is not None:
        packed["exciting"] = recorded.exciting[1].shape[2]
        blobs.append(_deflated(recorded.exciting[1].astype("<i2")))
    return packed, blobs


def _binned(plans: Float[np.ndarray, "..."], bins: int, axis: int) -> Float[np.ndarray, "..."]:
    size = plans.shape[axis]
    if size <= bins:
        return plans
    # Bin b holds the ordered neurons k with floor(k * bins / size) == b; the page computes the same.
    starts = -(-np.arange(bins) * size // bins)
    return np.add.reduceat(plans, starts, axis=axis)


def _partners(plan: Float[np.ndarray, "a b"]) -> tuple[NDArray, NDArray]:
    """Of every row, its strongest columns, best first, and the shares of its mass that they get."""
    partners = min(PARTNERS, plan.shape[1])
    some = np.argpartition(-plan, partners - 1, axis=1)[:, :partners]
    masses = np.take_along_axis(plan, some, axis=1)
    best = np.argsort(-masses, axis=1, kind="stable")
    mass = plan.sum(axis=1, keepdims=True)
    return np.take_along_axis(some, best, axis=1), np.take_along_axis(masses, best, axis=1) / np.where(
        mass > 0, mass, 1
    )


def _deflated(array: NDArray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 6)).decode()
