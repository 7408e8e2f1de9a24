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
"""Strongest partners kept of each recorded row and column where the drawn plan is binned."""


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
    partners: list[tuple[NDArray, NDArray]] | None
    """Of every single teacher unit, then student unit: ``[epochs, width, k]`` numbers of its strongest partners and
    their shares; recorded where the plan is binned."""
    exciting: tuple[NDArray, NDArray] | None
    """Probe samples that excite a unit most: the teacher's ``[width, k]``, the student's ``[epochs, width, k]``."""


def _files(student: Student) -> list[Path]:
    return sorted((student.folder / "plans").glob("epoch-*.npz"))


def _read(files: Sequence[Path]) -> list[_Recorded]:
    content: list[dict[str, NDArray]] = []
    for path in files:
        with np.load(path) as arrays:
            content.append({name: arrays[name] for name in arrays.files})
    epochs = [int(path.stem.partition("-")[2]) for path in files]

    def over_epochs(name: str) -> NDArray:
        return np.stack([arrays[name] for arrays in content])

    first = content[0]
    return [
        _Recorded(
            student=str(first[f"student_layer_{k}"]),
            teacher=str(first[f"teacher_layer_{k}"]),
            widths=(int(first[f"widths_{k}"][0]), int(first[f"widths_{k}"][1])),
            epochs=epochs,
            plans=over_epochs(f"plan_{k}"),
            costs=over_epochs(f"cost_{k}") if f"cost_{k}" in first else None,
            partners=[
                (over_epochs(f"{side}_partners_{k}"), over_epochs(f"{side}_shares_{k}"))
                for side in ("teacher", "student")
            ]
            if f"teacher_partners_{k}" in first
            else None,
            exciting=(first[f"teacher_exciting_{k}"], over_epochs(f"student_exciting_{k}"))
            if f"teacher_exciting_{k}" in first
            else None,
        )
        for k in range(sum(name.startswith("plan_") for name in first))
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
        "partners": [0, 0],
        "single": recorded.partners is not None,
        "exciting": 0,
    }
    partners = recorded.partners
    if partners is None and drawn.shape != plans.shape:
        partners = [_partners(matrix) for matrix in (plans, plans.swapaxes(1, 2))]
    if partners is not None:
        packed["partners"] = [top.shape[2] for top, _ in partners]
        for top, share in partners:
            blobs += [_deflated(top.astype("<u2")), _deflated((255 * share).round().astype(np.uint8))]
    if recorded.exciting is not None:
        packed["exciting"] = recorded.exciting[1].shape[2]
        blobs.append(_deflated(recorded.exciting[1].astype("<i2")))
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


def _partners(plans: Float[np.ndarray, "epochs a b"]) -> tuple[NDArray, NDArray]:
    top = np.argsort(-plans, axis=2, kind="stable")[:, :, :PARTNERS]
    mass = plans.sum(axis=2, keepdims=True)
    return top, np.take_along_axis(plans, top, axis=2) / np.where(mass > 0, mass, 1)


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
