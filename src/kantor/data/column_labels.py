"""Labels in columns that are no class a sample: a column of numbers, several columns, a column of lists."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Shaped

from kantor.core.errors import DataError, suggest
from kantor.data.columns import have
from kantor.data.label_kinds import IN_WORDS, LabelKind, label_arrays
from kantor.data.labels import OBVIOUS

if TYPE_CHECKING:
    import pyarrow as pa

Opener = Callable[[Path], Any]
"""Makes of a path a table with ``schema_arrow`` and ``read(columns=...)``."""


def label_columns(schema: "pa.Schema", label: str | None, path: Path) -> list[str]:
    """The columns that ``label`` names: one, several with commas between them, or those under a pattern (``y_*``).

    A usual name is looked for where none is given.

    Raises:
        DataError: there is no such column.
    """
    if label is None:
        usual = next((name for name in OBVIOUS if name in schema.names), None)
        if usual is None:
            raise DataError(
                f"{path} has no column of labels. It has: {have(schema)}. Name one, or several, with --label."
            )
        return [usual]
    found: list[str] = []
    for name in [label] if label in schema.names else label.split(","):
        matched = [name] if name in schema.names else [column for column in schema.names if fnmatchcase(column, name)]
        if not matched:
            near = suggest(name, schema.names)
            raise DataError(f"{path} has no column {name!r}, which --label names. It has: {have(schema)}. {near}")
        found += matched
    return list(dict.fromkeys(found))


def labels_of_kind(
    files: Mapping[str, list[Path]], columns: Sequence[str], kind: LabelKind, opener: Opener, where: str
) -> tuple[list[str], dict[str, Shaped[np.ndarray, "n ..."]]]:
    """Names of the outputs that a model needs, and the labels of each part.

    Args:
        files: by part.
        columns: as :func:`label_columns` gives them. Several are beside one another, under their own names.
        kind: what they are read as; not ``classes``.
        opener: opens a file.
        where: the data, for messages.

    Raises:
        DataError: a column that is missing, is no numbers, or holds lists of several lengths; or see
            :func:`kantor.data.label_kinds.label_arrays`.
    """
    labels = {
        part: np.concatenate([_read(path, columns, kind, opener) for path in paths]) for part, paths in files.items()
    }
    names = list(columns) if len(columns) > 1 and kind != "maps" else None
    return label_arrays(labels, kind, names, where)


def _read(path: Path, columns: Sequence[str], kind: LabelKind, opener: Opener) -> Shaped[np.ndarray, "rows ..."]:
    table = opener(path)
    missing = [name for name in columns if name not in table.schema_arrow.names]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}, which its siblings have.")
    held = table.read(columns=list(columns))
    found = [_values(held.column(name), name, path, kind) for name in columns]
    if len(found) == 1:
        return found[0]
    if any(values.ndim > 1 for values in found):
        raise DataError(f"{path}: of several label columns each holds a number a row; {', '.join(columns)} hold lists.")
    return np.stack(found, axis=1)


def _values(column: Any, name: str, path: Path, kind: LabelKind) -> Float64[np.ndarray, "rows ..."]:
    rows = column.to_pylist()
    lengths = {len(row) if isinstance(row, list) else None for row in rows if row is not None}
    if len(lengths) > 1:
        longest = sorted(length or 0 for length in lengths)
        raise DataError(
            f"{path}: the lists in column {name!r} have {longest[0]} to {longest[-1]} entries, and labels that are "
            f"{IN_WORDS[kind]} are as many in every row. Fill them up, with -100 where a place has none."
        )
    (length,) = lengths or {None}
    lacking = np.nan if length is None else [np.nan] * length
    try:
        return np.asarray([lacking if row in (None, "") else row for row in rows], dtype=np.float64)
    except (TypeError, ValueError):
        row = next((number for number, row in enumerate(rows) if not _is_numbers(row)), 0)
        raise DataError(
            f"{path}, row {row}: column {name!r} holds {str(rows[row])[:40]!r}, and labels that are {IN_WORDS[kind]} "
            "are numbers. Name another with --label."
        ) from None


def _is_numbers(row: Any) -> bool:
    try:
        np.asarray(row if row is not None else np.nan, dtype=np.float64)
    except (TypeError, ValueError):
        return row == ""
    return True
