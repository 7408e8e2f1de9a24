"""Recorded plans, epoch by epoch: how a student's neurons moved towards the teacher's."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from kantor.analysis.reallocation import reallocation
from kantor.core.files import read_npz
from kantor.training.plans import DAMAGED

MEASURES = ("distance", "identity", "gap", "diagonal", "changed_since_first", "changed_since_previous", "entropy")


@dataclass(frozen=True)
class Trajectory:
    """One pair of layers of one student over its recorded epochs."""

    student: str
    teacher: str
    """``NAME:LAYER``."""
    widths: tuple[int, int]
    """Neurons of the teacher's and of the student's layer."""
    binned: bool
    """The record holds groups of neurons, as wide layers are recorded: measures are of groups."""
    epochs: list[int]
    values: dict[str, list[float | None]]
    """By measure (a field of :class:`~kantor.analysis.Reallocation`), one value for each epoch."""


def read_trajectories(folder: Path) -> list[Trajectory]:
    """Measure every plan that a student's training recorded in ``folder/plans/epoch-NNN.npz``.

    Args:
        folder: ``RUN/METHOD/seed-K``.

    Returns:
        One trajectory for each pair of layers; none where nothing was recorded.

    Raises:
        DataError: a record cannot be read.
    """
    records: dict[int, dict[str, np.ndarray]] = {}
    for path in sorted((folder / "plans").glob("epoch-*.npz")):
        records[int(path.stem.partition("-")[2])] = read_npz(path, DAMAGED)
    if not records:
        return []
    epochs, first = list(records), next(iter(records.values()))
    return [_trajectory(epochs, list(records.values()), k) for k in range(sum(n.startswith("plan_") for n in first))]


def _trajectory(epochs: list[int], records: list[dict[str, np.ndarray]], k: int) -> Trajectory:
    plans = [torch.from_numpy(record[f"plan_{k}"]) for record in records]
    costs = [torch.from_numpy(record[f"cost_{k}"]) for record in records]
    values: dict[str, list[float | None]] = {name: [] for name in MEASURES}
    for index, (plan, cost) in enumerate(zip(plans, costs, strict=True)):
        before = plans[index - 1] if index else None
        found = asdict(reallocation(plan, cost, first=plans[0], previous=before))
        for name in MEASURES:
            values[name].append(found[name])
    n, m = (int(width) for width in records[0][f"widths_{k}"])
    return Trajectory(
        student=str(records[0][f"student_layer_{k}"]),
        teacher=str(records[0][f"teacher_layer_{k}"]),
        widths=(n, m),
        binned=(n, m) != tuple(plans[0].shape),
        epochs=epochs,
        values=values,
    )
