"""Parquet as Hugging Face writes it: ``train-00000-of-00002.parquet``, an image column, a label column with names."""

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped

from kantor.core.errors import ConfigError, DataError, KantorError
from kantor.data.class_names import renumbered
from kantor.data.column_labels import label_columns, labels_of_kind
from kantor.data.columns import (
    IMAGES,
    LISTS,
    columns_of,
    have,
    kind_of,
    label_column,
    matching,
    names_in,
    same_columns,
)
from kantor.data.label_kinds import LabelKind
from kantor.data.labels import NO_LABEL, UNLABELLED, class_numbers, whole_numbers
from kantor.data.roles import assign
from kantor.data.source import Encoded, Found, Source
from kantor.data.store import InMemory
from kantor.data.views import View, choose_views, in_words

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = re.compile(
    r"^(?P<part>train|test|val|valid|validation)(?:-(?P<shard>\d+)-of-(?P<shards>\d+))?(?:-[0-9a-f]+)?\.parquet$"
)


class Rows:
    """Images in a column of bytes. The bytes are read when rows are taken, and those rows' alone are kept."""

    def __init__(self, files: list[Path], column: str, count: int):
        self.files, self.column, self.count = files, column, count

    def __len__(self) -> int:
        return self.count

    def read(self, row: int) -> bytes:
        """One image's bytes. Take many rows at once instead: this reads a whole column."""
        return self.take(np.asarray([row])).read(0)

    def describe(self, row: int) -> str:
        """The files and the row."""
        return f"{self.files[0].parent}, row {row}"

    def take(self, rows: Int64[np.ndarray, " n"]) -> "TakenRows":
        """The images at ``rows`` (ascending), read one row group at a time."""
        import pyarrow as pa

        content: list[bytes | None] = []
        names: list[str] = []
        first = 0
        for path in self.files:
            file, in_file = opened(path), 0
            # Of a struct the path is not needed.
            struct = pa.types.is_struct(file.schema_arrow.field(self.column).type)
            column_name = f"{self.column}.bytes" if struct else self.column
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                low, high = np.searchsorted(rows, (first + in_file, first + in_file + size))
                if low < high:
                    with reading(path):
                        column: Any = file.read_row_group(group, columns=[column_name]).column(0)
                        if struct:
                            column = column.flatten()[column.type.get_field_index("bytes")]
                        content += column.take(pa.array(rows[low:high] - first - in_file)).to_pylist()
                    names += [f"{path}, row {row}" for row in (rows[low:high] - first).tolist()]
                in_file += size
            first += in_file
        return TakenRows(content, names)


class TakenRows:
    """Compressed images in memory."""

    def __init__(self, content: list[bytes | None], names: list[str]):
        self.content, self.names = content, names

    def __len__(self) -> int:
        return len(self.content)

    def read(self, row: int) -> bytes:
        """One image's bytes."""
        content = self.content[row]
        if content is None:
            raise ValueError("the row holds no bytes")
        return content

    def describe(self, row: int) -> str:
        """The file and the row in it."""
        return self.names[row]

    def take(self, rows: Int64[np.ndarray, " n"]) -> "TakenRows":
        """Those at ``rows``."""
        return TakenRows([self.content[row] for row in rows.tolist()], [self.names[row] for row in rows.tolist()])


def find_parquet(place: Path) -> dict[str, list[Path]]:
    """The parquet files of each part in a folder (or in its ``data`` folder), shards in order; none is ``{}``.

    Raises:
        DataError: shards are missing.
    """
    if place.is_file():
        return {"train": [place]}
    for folder in (place, place / "data"):
        found: dict[str, list[tuple[int, int, Path]]] = defaultdict(list)
        for path in sorted(folder.glob("*.parquet")):
            if match := _NAME.match(path.name):
                found[match["part"]].append((int(match["shard"] or 0), int(match["shards"] or 1), path))
        if found:
            return {part: _whole_set(folder, part, shards) for part, shards in found.items()}
    return {}


def _whole_set(folder: Path, part: str, shards: list[tuple[int, int, Path]]) -> list[Path]:
    paths = [path for *_, path in sorted(shards)]
    numbers, counts = sorted({number for number, *_ in shards}), {count for _, count, _ in shards}
    if len(counts) > 1 or len(numbers) < len(shards):
        raise DataError(
            f"{folder}: {', '.join(path.name for path in paths[:4])} are no single set of files of {part}. Keep one."
        )
    (count,) = counts
    if numbers != list(range(count)):
        raise DataError(f"{folder}: {count - len(numbers)} of {count} files of {part} are missing.")
    return paths


def read_parquet(
    place: Path,
    views: Mapping[str, str] | None,
    label: str | None,
    need_labels: bool,
    kind: LabelKind = "classes",
) -> Found:
    """Labels of every part, and the columns that are seen; images are left for later.

    Names of classes come from the schema's ``huggingface`` metadata; without it labels are numbers, or texts. Without
    ``views`` both roles see the first column of images. With them a view is a column of images, a column of lists of
    numbers of one length, or columns of numbers under a pattern (``sensor_*``). A column that teachers alone see
    may be missing outside the training part.

    Labels of another ``kind`` are a column of numbers or of lists, or several columns
    (:func:`kantor.data.column_labels.label_columns`).

    Raises:
        DataError: no train files, no such column, files that do not agree, labels out of range.
        ConfigError: pyarrow is not installed.
    """
    files = find_parquet(place)
    used, notes = assign(files, str(place))
    roles = {role: files[name] for role, name in used.items()}
    schema = opened(files["train"][0]).schema_arrow
    sizes = {role: sum(opened(path).metadata.num_rows for path in paths) for role, paths in roles.items()}
    for role, paths in roles.items():
        if not sizes[role]:
            raise DataError(f"{paths[0]}: the {role} part has no rows. Remove the file, or fill it.")
    first = files["train"][0]
    labels, classes = [], [UNLABELLED]
    targets: Mapping[str, np.ndarray] = {role: np.zeros(size, np.int64) for role, size in sizes.items()}
    if kind != "classes" and need_labels:
        labels = label_columns(schema, label, first)
        classes, targets = labels_of_kind(roles, labels, kind, opened, str(place))
    elif (chosen := label_column(schema, label, first, need_labels))[0] is not None:
        labels, names = [chosen[0]], chosen[1]
        values = {role: labels_of(paths, labels[0], names, may_lack=role == "train") for role, paths in roles.items()}
        classes, targets = class_numbers(values, names, {role: _where(role, paths) for role, paths in roles.items()})
    seen = _views(schema, views, labels, first)
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
                inputs[name] = _input(paths, name, ours, schema, sizes[part])
        sources[part] = Source(targets[part], inputs)
    read: dict[str, Any] = {"files": {role: [path.name for path in paths] for role, paths in roles.items()}}
    taken = {path for paths in roles.values() for path in paths}
    beside = sorted(path.name for path in files["train"][0].parent.glob("*.parquet") if path not in taken)
    if place.is_dir() and beside:
        read["ignored_files"] = beside[:20]
    return Found(classes, sources, seen, labelled=bool(labels), kind=kind, notes={**read, **notes})


def _where(part: str, paths: list[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0].parent}, {part} part"


def _views(schema: "pa.Schema", views: Mapping[str, str] | None, labels: Sequence[str], path: Path) -> dict[str, View]:
    columns = columns_of(schema, labels)
    if views is None:
        images = {name: kind for name, kind in columns.items() if kind == IMAGES}
        if not images:
            raise DataError(
                f"{path} has no column of images (bytes, or a struct with bytes). It has: {have(schema)}. Columns of "
                "numbers are named with --views."
            )
        columns = dict(list(images.items())[:1])
    else:
        for pattern in (text.partition("@")[0] for text in views.values()):
            if "*" in pattern and (matched := len(matching(schema, pattern, labels))):
                columns[pattern] = f"{matched} columns of numbers"
    return choose_views(views, columns, str(path.parent))


def _input(paths: list[Path], name: str, columns: list[str], schema: "pa.Schema", count: int) -> Encoded | InMemory:
    kind = schema.field(columns[0]).type
    if kind_of(kind) == IMAGES:
        return Rows(paths, name, count)
    pieces = [_numbers(path, columns) for path in paths]
    if len({piece.shape[1] for piece in pieces}) > 1:
        raise DataError(f"{paths[0].parent}: column {name!r} has lists of other lengths in other files.")
    return InMemory(torch.from_numpy(np.concatenate(pieces)))


def _numbers(path: Path, columns: list[str]) -> Float32[np.ndarray, "rows numbers"]:
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


def labels_of(
    paths: list[Path],
    label: str,
    names: list[str] | None,
    *,
    may_lack: bool,
    opener: Callable[[Path], Any] | None = None,
) -> Shaped[np.ndarray, " n"]:
    """The labels in all files: texts, or numbers of ``names``, whatever the order of the names in each file.

    Args:
        paths: the files of a part.
        label: their column of labels.
        names: of the classes, as the first file says them.
        may_lack: a row may have none; it has an empty text then, or -1.
        opener: opens files that are no parquet.

    Raises:
        DataError: files that do not agree, or labels that are missing or no labels.
    """
    pieces: list[Shaped[np.ndarray, " n"]] = []
    for path in paths:
        file = (opener or opened)(path)
        if label not in file.schema_arrow.names:
            raise DataError(f"{path} has no column {label!r}, which its siblings have.")
        with reading(path):
            values = _plain(file.read(columns=[label]).column(0), label, path, may_lack)
        if pieces and (values.dtype.kind == "U") != (pieces[0].dtype.kind == "U"):
            raise DataError(
                f"Labels are text in one of {paths[0]} and {path}, and numbers in the other. Write them alike."
            )
        theirs = names_in(file.schema_arrow, label, path)
        if values.dtype.kind != "U" and theirs != names:
            if theirs is None or names is None:
                raise DataError(
                    f"{path} {'does not name' if theirs is None else 'names'} its classes, and another file of the "
                    f"data {'names' if theirs is None else 'does not name'} them. Write the same schema into all."
                )
            values = renumbered(whole_numbers(values, str(path)), theirs, names, str(path))
        pieces.append(values)
    return np.concatenate(pieces)


def _plain(column: Any, label: str, path: Path, may_lack: bool) -> Shaped[np.ndarray, " n"]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        try:
            column = column.cast(pa.large_binary()).cast(pa.large_string())
        except pa.ArrowInvalid:
            raise DataError(f"{path}: column {label!r} holds bytes that are not UTF-8 text.") from None
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    whole = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    if not (text or whole or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise DataError(f"{path}: column {label!r} holds {kind}; one class number or name per row is needed.")
    if column.null_count and may_lack and not pa.types.is_null(kind):
        if whole:
            column = column.cast(pa.int64())  # an unsigned type has no room for the mark
        column = column.fill_null("" if text else NO_LABEL)
    elif column.null_count:
        raise DataError(f"{path}: {column.null_count} labels are missing in column {label!r}.")
    values = column.to_numpy()
    return values.astype(str) if text else values


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Damage that shows while the file is read is an error that names it."""
    try:
        yield
    except KantorError:
        raise
    except Exception as error:  # a damaged page can make a decoder raise anything
        raise DataError(f"{path} is damaged: {error}. Fetch it again.") from error


def opened(path: Path) -> Any:
    """The parquet file; pages that bring a checksum are held to it.

    Raises:
        DataError: it is none.
        ConfigError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ConfigError("Parquet files need pyarrow: pip install 'kantor[parquet]'.") from error
    try:
        return parquet.ParquetFile(path, page_checksum_verification=True)
    except Exception as error:  # as above
        raise DataError(f"{path} cannot be read as parquet: {error}. Fetch it again.") from error
