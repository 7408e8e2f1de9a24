"""Columns of a table, parquet or another: which are seen, as images or as numbers, and which are labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, Shaped

from kantor.core.errors import DataError
from kantor.data.column_labels import label_columns, labels_of_kind
from kantor.data.columns import (
    IMAGES,
    LISTS,
    NUMBERS,
    columns_of,
    have,
    kind_of,
    label_column,
    matching,
    same_columns,
)
from kantor.data.label_kinds import LabelKind
from kantor.data.labels import UNLABELLED, class_numbers
from kantor.data.parquet import labels_of, reading
from kantor.data.parquet_images import Rows
from kantor.data.roles import assign
from kantor.data.source import Encoded, Found, Source
from kantor.data.store import InMemory
from kantor.data.tables import Opener, find_tables, opener_for, place_of, rows_in, train_files
from kantor.data.views import View, choose_views, in_words

if TYPE_CHECKING:
    import pyarrow as pa

_NUMERIC = (NUMBERS, LISTS)

Labels = tuple[list[str], list[str], Mapping[str, Shaped[np.ndarray, "n ..."]]]
"""The columns that hold them, names of the classes or numbers, and those of each part."""


def read_columns(
    place: Path,
    views: Mapping[str, str] | None,
    label: str | None,
    need_labels: bool,
    kind: LabelKind = "classes",
) -> Found:
    """Labels of every part, and the columns that are seen; images are left for later.

    Names of classes come from the schema's ``huggingface`` metadata; without it labels are numbers, or texts. Without
    ``views`` both roles see the first column of images; where there is none, all columns of numbers but the labels, or
    the only column of lists. With them a view is a column of images, a column of lists of numbers of one length, or
    columns of numbers under a pattern (``sensor_*``). A column that teachers alone see may be missing outside the
    training part.

    Labels of another ``kind`` are a column of numbers or of lists, or several columns
    (:func:`kantor.data.column_labels.label_columns`).

    Raises:
        DataError: no train files, no such column, files that do not agree, labels out of range.
        ConfigError: pyarrow is not installed.
    """
    files = find_tables(place)
    used, notes = assign(files, str(place))
    roles = {role: files[name] for role, name in used.items()}
    opened = opener_for(roles["train"], [label, *(views or {}).values()], typed=True)
    first = roles["train"][0]
    schema = opened(first).schema_arrow
    sizes = {role: sum(rows_in(opened(path)) for path in paths) for role, paths in roles.items()}
    for role, paths in roles.items():
        if not sizes[role]:
            raise DataError(f"{paths[0]}: the {role} part has no rows. Remove the file, or fill it.")
    labels, classes, targets = labels_in(roles, sizes, opened, label, kind if need_labels else None, str(place))
    seen, left_out = _views(schema, views, labels, first)
    sources: dict[str, Source] = {}
    for part, paths in roles.items():
        inputs: dict[str, Encoded | InMemory] = {}
        for role, name in {role: view.input for role, view in seen.items()}.items():
            ours = matching(schema, name, labels)
            theirs = matching(opened(paths[0]).schema_arrow, name, labels)
            if not theirs and (part == "train" or role == "student"):
                raise DataError(f"{paths[0]} has no column {name!r}, which {in_words(role)} sees.")
            if theirs and name not in inputs:
                for path in paths:
                    same_columns(schema, opened(path).schema_arrow, name, labels, (first, path))
                inputs[name] = _input(paths, name, ours, opened, sizes[part])
        sources[part] = Source(targets[part], inputs)
    read: dict[str, Any] = {"files": {role: [path.name for path in paths] for role, paths in roles.items()}}
    taken = {path for paths in roles.values() for path in paths}
    beside = sorted(path.name for path in first.parent.glob(f"*{first.suffix}") if path not in taken)
    if place.is_dir() and beside:
        read["ignored_files"] = beside[:20]
    if left_out:
        read["ignored_columns"] = left_out
    return Found(classes, sources, seen, labelled=bool(labels), kind=kind, notes={**read, **notes})


def holds_numbers(place: Path, label: str | None, views: Mapping[str, str] | None) -> bool:
    """Whether a table that is no parquet holds numbers to be seen: in the columns that ``views`` name, else in all but
    the labels."""
    files = train_files(find_tables(place))
    if not files or files[0].suffix.lower() == ".parquet":
        return False
    schema = opener_for(files, [label, *(views or {}).values()], typed=True)(files[0]).schema_arrow
    if views is not None:
        return any(
            kind_of(schema.field(column).type) in _NUMERIC
            for name in views.values()
            for column in matching(schema, name)
        )
    named = label or label_column(schema, None, files[0], need_labels=False)[0]
    labels = label_columns(schema, named, files[0]) if named else []
    seen = [kind_of(field.type) for field in schema if field.name not in labels]
    return bool(seen) and all(found in _NUMERIC for found in seen)


def labels_in(
    files: Mapping[str, list[Path]],
    sizes: Mapping[str, int],
    opened: Opener,
    label: str | None,
    kind: LabelKind | None,
    where: str,
) -> Labels:
    """The labels in every part's files, zeros where there are none.

    Args:
        files: of each part.
        sizes: rows of each part.
        opened: opens a file.
        label: the column, or columns, that the user named.
        kind: what they are read as; None where none are needed.
        where: the data, for messages.

    Raises:
        DataError: there is no such column, or the labels are missing, out of range or of another kind.
    """
    first = files["train"][0]
    schema = opened(first).schema_arrow
    if kind is not None and kind != "classes":
        labels = label_columns(schema, label, first)
        return labels, *labels_of_kind(files, labels, kind, opened, where)
    found, names = label_column(schema, label, first, kind is not None)
    if found is None:
        return [], [UNLABELLED], {part: np.zeros(size, np.int64) for part, size in sizes.items()}
    values = {
        part: labels_of(paths, found, names, may_lack=part == "train", opener=opened) for part, paths in files.items()
    }
    return [found], *class_numbers(values, names, {part: place_of(part, paths) for part, paths in files.items()})


def _views(
    schema: "pa.Schema", views: Mapping[str, str] | None, labels: Sequence[str], path: Path
) -> tuple[dict[str, View], list[str]]:
    """What each role sees, and columns beside what is seen that are neither numbers nor images."""
    columns = columns_of(schema, labels)
    left_out: list[str] = []
    if views is None:
        by_kind = {kind: [name for name, k in columns.items() if k == kind] for kind in (IMAGES, LISTS, NUMBERS)}
        if by_kind[IMAGES]:
            columns = {by_kind[IMAGES][0]: IMAGES}
        elif by_kind[NUMBERS] and not by_kind[LISTS]:
            columns = {"*": f"{len(by_kind[NUMBERS])} columns of numbers"}
            left_out = [name for name in schema.names if name not in (*by_kind[NUMBERS], *labels)]
        elif len(by_kind[LISTS]) == 1 and not by_kind[NUMBERS]:
            columns = {by_kind[LISTS][0]: LISTS}
        else:
            raise DataError(
                f"{path} has no column of images (bytes, or a struct with bytes). It has: {have(schema)}. Columns of "
                "numbers are named with --views."
            )
    else:
        for pattern in (text.partition("@")[0] for text in views.values()):
            if "*" in pattern and (matched := len(matching(schema, pattern, labels))):
                columns[pattern] = f"{matched} columns of numbers"
    return choose_views(views, columns, str(path.parent)), left_out


def _input(paths: list[Path], name: str, columns: list[str], opened: Opener, count: int) -> Encoded | InMemory:
    if kind_of(opened(paths[0]).schema_arrow.field(columns[0]).type) == IMAGES:
        return Rows(paths, name, count)
    pieces = [_numbers(path, columns, opened) for path in paths]
    if len({piece.shape[1] for piece in pieces}) > 1:
        raise DataError(f"{paths[0].parent}: column {name!r} has lists of other lengths in other files.")
    return InMemory(torch.from_numpy(np.concatenate(pieces)))


def _numbers(path: Path, columns: list[str], opened: Opener) -> Float32[np.ndarray, "rows numbers"]:
    arrays = []
    with reading(path):
        table = opened(path).read(columns=columns)
        for name in columns:
            column = table.column(name)
            if kind_of(column.type) == LISTS:
                lengths = {None if row is None else len(row) for row in column.to_pylist()}
                if len(lengths) > 1 or None in lengths:
                    raise DataError(f"{path}: the lists in column {name!r} are not all of one length.")
                arrays.append(np.asarray(column.to_pylist(), dtype=np.float32).reshape(len(column), -1))
            else:
                arrays.append(column.to_numpy().astype(np.float32)[:, None])  # a missing number is read as nan
    values = np.concatenate(arrays, axis=1)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise DataError(f"{path}, row {bad[0]}: {', '.join(columns[:3])} hold a value that is missing or not finite.")
    return values
