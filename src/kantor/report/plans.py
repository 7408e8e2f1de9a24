"""Recorded transport plans, read from a run and packed small enough for a page."""

import base64
import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from kantor.report.ordering import structured
from kantor.report.run import Run, Student

PARTNERS = 3
"""Strongest partners kept of each neuron where the drawn plan is binned."""


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
    by the structure of the last epoch, binned where larger than the level allows, deflated, in base64.

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
                if known not in pairs:
                    pairs.append(known)
                packed, blob = _pack(recorded, level.bins)
                packed |= {"pair": pairs.index(known), "method": method, "seed": student.seed, "blob": len(blobs)}
                sets.append(packed)
                blobs += blob
    if not sets:
        return None
    said = f"The page holds {' and '.join(sorted(left))}; the rest is in the run's folder." if left else ""
    return Packed({"pairs": pairs, "sets": sets}, blobs, said)


def cells(run: Run, level: Level) -> int:
    """How many masses :func:`pack_plans` would draw, told from the first record of every student."""
    total = 0
    for method in dict.fromkeys(student.method for student in run.students):
        students = [student for student in run.of(method) if _files(student)]
        for student in students[: level.seeds]:
            files = _files(student)
            for recorded in _read(files[:1]):
                rows, columns = (min(size, level.bins) for size in recorded.plans.shape[1:])
                total += len(files[: level.epochs]) * rows * columns
    return total


@dataclass(frozen=True)
class _Recorded:
    """One pair of layers of one student over its recorded epochs."""

    student: str
    teacher: str
    widths: tuple[int, int]
    epochs: list[int]
    plans: Float[np.ndarray, "epochs teacher student"]
    costs: Float[np.ndarray, "epochs teacher student"] | None


def _files(student: Student) -> list[Path]:
    return sorted((student.folder / "plans").glob("epoch-*.npz"))


def _read(files: Sequence[Path]) -> list[_Recorded]:
    content: list[dict[str, NDArray]] = []
    for path in files:
        with np.load(path) as arrays:
            content.append({name: arrays[name] for name in arrays.files})
    epochs = [int(path.stem.partition("-")[2]) for path in files]
    return [
        _Recorded(
            student=str(content[0][f"student_layer_{k}"]),
            teacher=str(content[0][f"teacher_layer_{k}"]),
            widths=(int(content[0][f"widths_{k}"][0]), int(content[0][f"widths_{k}"][1])),
            epochs=epochs,
            plans=np.stack([arrays[f"plan_{k}"] for arrays in content]),
            costs=np.stack([arrays[f"cost_{k}"] for arrays in content]) if f"cost_{k}" in content[0] else None,
        )
        for k in range(sum(name.startswith("plan_") for name in content[0]))
    ]


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
    plans, costs = recorded.plans, recorded.costs
    rows, columns = structured(plans[-1], None if costs is None else costs[-1])
    ordered = plans[:, rows][:, :, columns]
    drawn = _binned(_binned(ordered, bins, axis=1), bins, axis=2)
    scale = float(drawn.max()) or 1.0
    blobs = [_deflated(quantised(drawn, scale))]
    packed: dict[str, Any] = {
        "epochs": recorded.epochs,
        "shape": list(drawn.shape[1:]),
        "recorded": list(plans.shape[1:]),
        "scale": scale,
        "rows": rows.tolist(),
        "columns": columns.tolist(),
        "facts": _facts(plans, costs),
        "partners": 0,
    }
    if drawn.shape != plans.shape:
        packed["partners"] = min(PARTNERS, *plans.shape[1:])
        for matrix in (plans, plans.swapaxes(1, 2)):
            top, share = _partners(matrix, packed["partners"])
            blobs += [_deflated(top), _deflated(share)]
    return packed, blobs


def quantised(plans: Float[np.ndarray, "..."], scale: float) -> UInt8[np.ndarray, "..."]:
    """Masses as square roots of their share of ``scale``, in 255 steps: ``scale * (step / 255) ** 2`` reads them."""
    return (255 * np.sqrt(plans.clip(min=0) / scale)).round().astype(np.uint8)


def _binned(plans: Float[np.ndarray, "..."], bins: int, axis: int) -> Float[np.ndarray, "..."]:
    size = plans.shape[axis]
    if size <= bins:
        return plans
    # Bin b holds the ordered neurons k with floor(k * bins / size) == b; the page computes the same.
    starts = -(-np.arange(bins) * size // bins)
    return np.add.reduceat(plans, starts, axis=axis)


def _partners(plans: Float[np.ndarray, "epochs a b"], count: int) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    top = np.argsort(-plans, axis=2, kind="stable")[:, :, :count]
    mass = plans.sum(axis=2, keepdims=True)
    share = np.take_along_axis(plans, top, axis=2) / np.where(mass > 0, mass, 1)
    return top.astype("<u2"), (255 * share).round().astype(np.uint8)


def _facts(plans: NDArray, costs: NDArray | None) -> dict[str, list[float | None]]:
    """By epoch: the plan's cost, that of the uniform plan, the share of mass moved since the record before, and the
    mean share of a teacher neuron's mass that its best partner gets."""
    mass = plans.sum(axis=2)
    best = plans.max(axis=2).sum(axis=1) / mass.sum(axis=1)
    moved = [None, *(float(0.5 * np.abs(b - a).sum()) for a, b in itertools.pairwise(plans))]
    facts: dict[str, list[float | None]] = {"best": [round(float(x), 4) for x in best], "moved": moved}
    if costs is not None:
        facts["cost"] = [float((p * c).sum()) for p, c in zip(plans, costs, strict=True)]
        facts["uniform"] = [float(c.mean()) for c in costs]
    return facts


def _deflated(array: NDArray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 6)).decode()
