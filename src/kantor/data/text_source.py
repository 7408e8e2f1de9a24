"""Tables of texts and their labels: which column is which, and which rows have none."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Shaped

from kantor.core.errors import ConfigError, DataError, suggest
from kantor.data.column_labels import label_columns, labels_of_kind
from kantor.data.column_source import holds_numbers
from kantor.data.columns import IMAGES, columns_of, have, label_column
from kantor.data.label_kinds import LabelKind
from kantor.data.labels import NO_LABEL, UNLABELLED, class_numbers
from kantor.data.parquet import find_parquet, labels_of, reading
from kantor.data.roles import assign
from kantor.data.running_text import found_in
from kantor.data.source import Found, Source
from kantor.data.tables import (
    OBVIOUS_TEXT,
    Delimited,
    Opener,
    find_tables,
    is_number,
    opener_for,
    place_of,
    train_files,
)
from kantor.data.texts import Texts
from kantor.data.tokenizer import Learned, Tokenizer
from kantor.data.views import View, in_words

if TYPE_CHECKING:
    import pyarrow as pa


def holds_text(place: Path, text: str | None, views: Mapping[str, str] | None, label: str | None = None) -> bool:
    """Whether data are a table of texts.

    So they are where a column of texts is named, where tsv, csv, jsonl or what ``datasets`` saved holds more than
    numbers in the columns that are seen (those in ``views``, else all but the labels), and where the columns of parquet
    that are seen are text: those in ``views``, else one that is called like a text beside no images.
    """
    if not place.exists() or (place.is_file() and place.suffix.lower() in (".npz", ".zip")):
        return False
    files = find_tables(place)
    train = train_files(files)
    if not files or (not train and find_parquet(place)):
        return False
    first = (train or next(iter(files.values())))[0]
    if text is not None:
        return True
    if first.suffix.lower() != ".parquet":
        names = opener_for([first], [label])(first).schema_arrow.names
        usual = views is None and any(name in names for name in OBVIOUS_TEXT)
        return usual or not holds_numbers(place, label, views)
    schema = opener_for([first], [])(first).schema_arrow
    if views is not None:
        return any(name in schema.names and _is_text(schema.field(name).type) for name in views.values())
    images = IMAGES in columns_of(schema).values()
    return not images and any(_is_text(schema.field(name).type) for name in OBVIOUS_TEXT if name in schema.names)


def read_texts(
    place: Path,
    text: str | None,
    label: str | None,
    need_labels: bool,
    tokenizers: Mapping[str, Tokenizer | Learned],
    views: Mapping[str, str] | None = None,
    kind: LabelKind = "classes",
) -> Found:
    """Texts of every part as each role's tokenizer gives them, and their labels.

    A part but the training part whose labels are all missing is left out, as the test part of a public benchmark.

    Args:
        place: a file, or a folder of them.
        text: the column of texts; a usual one if left out.
        label: the column of labels; a usual one if left out.
        need_labels: off, data without any can be opened too.
        tokenizers: by role, who sees the texts.
        views: by role, a column of texts of its own.
        kind: what the labels are read as; others than ``classes`` may lie in several columns
            (:func:`kantor.data.column_labels.label_columns`).

    Raises:
        DataError: no such column, or one that holds no text; labels that are missing or out of range.
    """
    files = find_tables(place)
    named = [text, label, *(views or {}).values()]
    train = train_files(files)
    if not train:
        assign(files, str(place))  # says what is there instead
    opened = opener_for(train, named)
    text, label = _guessed(opened, train[0], text, label, views)
    schema = opened(train[0]).schema_arrow
    seen = _columns(schema, train[0], text, tokenizers, views)
    if kind == "next":
        label_names, found, names = [], None, None
    elif kind != "classes" and need_labels:
        label_names, found, names = label_columns(schema, label, train[0]), None, None
    else:
        found, names = label_column(schema, label, train[0], need_labels)
        label_names = [] if found is None else [found]
    _refuse_one_for_both(label_names, seen, train[0])
    if kind == "next":
        return _running(files, seen, opened, tokenizers, place)
    labels, without = _labels(files, found, names, opened, train)
    used, notes = assign({name: paths for name, paths in files.items() if name not in without}, str(place))
    if without:
        notes["left out"] = f"{', '.join(without)}: no row has a label"
    roles = {part: files[name] for part, name in used.items()}
    columns = {
        part: {c: _texts(paths, c, opened) for c in dict.fromkeys(seen.values())} for part, paths in roles.items()
    }
    sizes = {part: len(next(iter(held.values()))) for part, held in columns.items()}
    for part, size in sizes.items():
        if not size:
            raise DataError(f"{roles[part][0]}: the {part} part has no rows. Remove the file, or fill it.")
    classes = [UNLABELLED]
    targets: Mapping[str, np.ndarray] = {part: np.zeros(size, np.int64) for part, size in sizes.items()}
    if kind != "classes" and label_names:
        classes, targets = labels_of_kind(roles, label_names, kind, opened, str(place))
    elif found is not None:
        where = {part: place_of(part, paths) for part, paths in roles.items()}
        classes, targets = class_numbers({part: labels[used[part]] for part in roles}, names, where)
    read = {"files": {part: [path.name for path in paths] for part, paths in roles.items()}, "text": text}
    shown = {role: View(column, tokens=tokenizers[role]) for role, column in seen.items()}
    sources = {part: Source(targets[part], columns[part]) for part in roles}
    return Found(classes, sources, shown, labelled=bool(label_names), kind=kind, notes={**read, **notes})


def _running(
    files: Mapping[str, list[Path]],
    seen: Mapping[str, str],
    opened: Opener,
    tokenizers: Mapping[str, Tokenizer | Learned],
    place: Path,
) -> Found:
    """A column's texts as what a language model learns from."""
    columns = dict.fromkeys(seen.values())
    if len(columns) > 1:
        raise ConfigError(
            f"{place}: every model sees one text where the next token is predicted, not the columns "
            f"{', '.join(columns)}. Name one with --text."
        )
    column = next(iter(columns))

    def documents(path: Path) -> Iterable[str]:
        return (text for piece in _texts([path], column, opened).pieces() for text in piece if text)

    by_part = {part: [(path, partial(documents, path)) for path in paths] for part, paths in files.items()}
    found = found_in(by_part, tokenizers, place)
    return replace(found, notes={**found.notes, "text": column})


def _guessed(
    opened: Opener, path: Path, text: str | None, label: str | None, views: Mapping[str, str] | None
) -> tuple[str | None, str | None]:
    """Of a file without names of columns that has two, one of numbers: the numbers are labels, and the rest texts."""
    table = opened(path)
    if not isinstance(table, Delimited) or table.headed:
        return text, label
    if text is None and views is None and label is None and len(table.names) == 2:
        with reading(path):
            held = table.read(table.names)
        numbers = [name for name in table.names if all(map(is_number, held.column(name).to_pylist()[:1000]))]
        if len(numbers) == 1:
            return next(name for name in table.names if name not in numbers), numbers[0]
    for asked, option in ((text, "text"), (label, "label")):
        if asked not in table.names:
            wanted = "no names of columns" if asked is None else f"no column {asked!r}"
            raise DataError(
                f"{path} has {wanted}: its first line is {table.shown}. Give --text and --label the columns' numbers "
                f"(1 to {len(table.names)}; --{option} is one of them), or write their names above it."
            )
    return text, label


def _columns(
    schema: "pa.Schema",
    path: Path,
    text: str | None,
    tokenizers: Mapping[str, Tokenizer | Learned],
    views: Mapping[str, str] | None,
) -> dict[str, str]:
    """The column that each role sees."""
    if not tokenizers:
        raise ConfigError(f"{path} holds texts: say with tokenizers={{'student': ...}} what turns them into tokens.")
    usual = next((name for name in OBVIOUS_TEXT if name in schema.names), None)
    seen: dict[str, str] = {}
    for role in tokenizers:
        own = None if views is None else views.get(role, views.get("teacher") if role != "student" else None)
        name = own or text or usual
        if name is None or name not in schema.names:
            wanted = f"no column {name!r}, which {in_words(role)} sees" if name else "no column of texts"
            near = f" {suggest(name, schema.names)}" if name else ""
            raise DataError(
                f"{path} has {wanted}. It has: {have(schema)}. Name one with --text"
                f"{'' if name else ', or columns of numbers with --views'}.{near}"
            )
        if not _is_text(schema.field(name).type):
            raise DataError(f"{path}: column {name!r} holds {schema.field(name).type}, and texts are strings.")
        seen[role] = name
    return seen


def _refuse_one_for_both(labels: Sequence[str], seen: Mapping[str, str], path: Path) -> None:
    for label in labels:
        if label in seen.values():
            raise ConfigError(f"{path}: column {label!r} is both text and label. Name another with --label.")


def _labels(
    files: Mapping[str, list[Path]], label: str | None, names: list[str] | None, opened: Opener, train: Sequence[Path]
) -> tuple[dict[str, Shaped[np.ndarray, " n"]], list[str]]:
    """The labels of each part that has some, and the parts that have none."""
    if label is None:
        return {}, []
    found: dict[str, Shaped[np.ndarray, " n"]] = {}
    without = []
    for part, paths in files.items():
        if paths[0] not in train and label not in opened(paths[0]).schema_arrow.names:
            without.append(part)
            continue
        found[part] = _as_numbers(labels_of(paths, label, names, may_lack=True, opener=opened))
        if paths[0] not in train and len(found[part]) and (found[part] == _no_label(found[part])).all():
            without.append(part)
    for part, values in found.items():
        missing = np.flatnonzero(values == _no_label(values))
        if len(missing) and files[part][0] not in train and part not in without:
            raise DataError(
                f"{place_of(part, files[part])}, row {missing[0]}: the label is missing ({len(missing)} such rows). "
                "Only training samples may lack theirs: label these rows, or leave them out."
            )
    kinds = {values.dtype.kind == "U" for part, values in found.items() if part not in without}
    if len(kinds) > 1:  # as where one part alone has numbers: they are names there
        found = {part: values.astype(str) for part, values in found.items()}
    return found, without


def _no_label(values: Shaped[np.ndarray, " n"]) -> str | int:
    return "" if values.dtype.kind == "U" else NO_LABEL


def _as_numbers(values: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Texts that all are whole numbers, but for missing ones, as numbers."""
    if values.dtype.kind != "U" or not all(is_number(text) for text in np.unique(values).tolist() if text):
        return values
    return np.where(values == "", str(NO_LABEL), values).astype(np.int64)


def _texts(paths: Sequence[Path], column: str, opened: Opener) -> Texts:
    import pyarrow as pa

    pieces, sizes = [], []
    for path in paths:
        table = opened(path)
        if column not in table.schema_arrow.names:
            raise DataError(f"{path} has no column {column!r}. It has: {have(table.schema_arrow)}.")
        with reading(path):
            held = table.read(columns=[column]).column(0)
        if not _is_text(held.type):
            raise DataError(f"{path}: column {column!r} holds {held.type}, and texts are strings.")
        pieces.append(held.cast(pa.large_string()))
        sizes.append((path, len(held)))
    chunks = [chunk for piece in pieces for chunk in piece.chunks]
    return Texts(pa.chunked_array(chunks, type=pa.large_string()), sizes)


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
