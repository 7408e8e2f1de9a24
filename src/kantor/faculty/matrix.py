"""A user's own cost matrix, with the class names of its rows and columns."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from kantor.core.errors import DataError, suggest
from kantor.core.files import read_npz
from kantor.losses import LabelCost

Matrix = Float64[np.ndarray, "rows columns"]


def matrix_costs(path: Path, student: Sequence[str], teachers: Mapping[str, Sequence[str]]) -> dict[str, LabelCost]:
    """The blocks of a matrix that the teachers and the student need, scaled by one number to mean 1.

    Rows are looked up for the classes paid from (a teacher's), columns for those paid to. A matrix that holds all
    names as rows and columns gives the costs within each label set too, which debiasing needs; they are made
    symmetric with a zero diagonal.

    Args:
        path: csv or tsv whose first row and first column are class names; or an npz with arrays ``rows`` and
            ``columns`` (names) and ``cost``.
        student: its class names.
        teachers: class names of each.

    Raises:
        DataError: the file cannot be read, a cost is negative or not finite, or a name is missing from it.
    """
    rows, columns, cost = _read(path)
    if cost.shape != (len(rows), len(columns)) or not np.isfinite(cost).all() or (cost < 0).any():
        raise DataError(
            f"{path}: the costs are {cost.shape}, and must be {len(rows)} x {len(columns)}, finite, not < 0."
        )
    row, column = ({name: k for k, name in enumerate(names)} for names in (rows, columns))
    blocks: dict[str, list[Matrix | None]] = {}
    for name, classes in teachers.items():
        for wanted, known, what in ((classes, row, "row"), (student, column, "column")):
            for label in wanted:
                if label not in known:
                    raise DataError(f"{path} has no {what} for class {label!r}. {suggest(label, known)}")
        cross = cost[np.ix_([row[c] for c in classes], [column[c] for c in student])]
        blocks[name] = [cross, *(_within(own, row, column, cost) for own in (student, classes))]
    crosses = np.concatenate(
        [np.ravel(block) for cross, *_ in blocks.values() for block in (cross,) if block is not None]
    )
    scale = crosses[crosses > 0].mean() if (crosses > 0).any() else 0.0
    if not scale > 0:
        raise DataError(f"{path}: every cost that is needed is zero, so nothing tells classes apart.")
    return {
        name: LabelCost(*(None if block is None else torch.from_numpy(block / scale).float() for block in three))  # type: ignore[arg-type]
        for name, three in blocks.items()
    }


def _within(names: Sequence[str], row: Mapping[str, int], column: Mapping[str, int], cost: Matrix) -> Matrix | None:
    if not all(name in row and name in column for name in names):
        return None
    own = cost[np.ix_([row[c] for c in names], [column[c] for c in names])]
    own = (own + own.T) / 2
    np.fill_diagonal(own, 0)
    return own


def _read(path: Path) -> tuple[list[str], list[str], Matrix]:
    if not path.is_file():
        raise DataError(f"There is no cost matrix {path}.")
    try:
        if path.suffix == ".npz":
            arrays = read_npz(path, "Copy it again.")
            rows, columns = ([str(name) for name in arrays[key]] for key in ("rows", "columns"))
            return rows, columns, arrays["cost"].astype(np.float64)
        with open(path, encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
        return (
            [line[0] for line in lines[1:]],
            lines[0][1:],
            np.array([[float(x) for x in line[1:]] for line in lines[1:]]),
        )
    except (KeyError, ValueError, TypeError, IndexError, OSError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read as a cost matrix: {error}. It is a csv with class names in its first row and "
            "column, or an npz with arrays rows, columns and cost."
        ) from None
