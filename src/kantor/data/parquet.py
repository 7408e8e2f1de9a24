"""Parquet as Hugging Face writes it: ``train-00000-of-00002.parquet``, an image column, a label column with names."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped

from kantor.core.errors import ConfigError, DataError
from kantor.data.labels import NO_LABEL, OBVIOUS, UNLABELLED, class_numbers
from kantor.data.roles import assign
from kantor.data.source import Encoded, Found, Source
from kantor.data.store import InMemory
from kantor.data.views import choose_views, in_words

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

        parquet = _pyarrow()
        content: list[bytes | None] = []
        names: list[str] = []
        first = 0
        for path in self.files:
            file, in_file = parquet.ParquetFile(path), 0
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                low, high = np.searchsorted(rows, (first + in_file, first + in_file + size))
                if low < high:
                    try:
                        column: Any = file.read_row_group(group, columns=[self.column]).column(0)
                    except (OSError, pa.ArrowException) as error:
                        raise DataError(f"{path} is damaged: {error}. Fetch it again.") from error
                    if pa.types.is_struct(column.type):
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
    found: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for folder in (place, place / "data"):
        for path in sorted(folder.glob("*.parquet")):
            match = _NAME.match(path.name)
            if match is None:
                continue
            found[match["part"]].append((int(match["shard"] or 0), path))
            shards = int(match["shards"] or 1)
            missing = shards - len(list(folder.glob(f"{match['part']}-*-of-{match['shards']}*.parquet")))
            if match["shards"] and missing:
                raise DataError(f"{folder}: {missing} of {shards} files of {match['part']} are missing.")
        if found:
            break
    return {part: [path for _, path in sorted(files)] for part, files in found.items()}


def read_parquet(place: Path, views: Mapping[str, str] | None, label: str | None, need_labels: bool) -> Found:
    """Labels of every part, and the columns that are seen; images are left for later.

    Names of classes come from the schema's ``huggingface`` metadata; without it labels are numbers, or texts. Without
    ``views`` both roles see the first column of images. With them a view is a column of images, a column of lists of
    numbers of one length, or columns of numbers under a pattern (``sensor_*``). A column that teachers alone see
    may be missing outside the training part.

    Raises:
        DataError: no train files, no such column, files that do not agree, labels out of range.
        ConfigError: pyarrow is not installed.
    """
    files = find_parquet(place)
    used, notes = assign(files, str(place))
    roles = {role: files[name] for role, name in used.items()}
    schema = _open(files["train"][0]).schema_arrow
    label, names = _label_column(schema, label, files["train"][0], need_labels)
    columns = _columns(schema, label)
    if views is None:
        images = {name: kind for name, kind in columns.items() if kind == _IMAGES}
        if not images:
            raise DataError(
                f"{files['train'][0]} has no column of images (bytes, or a struct with bytes). It has: "
                f"{_have(schema)}. Columns of numbers are named with --views."
            )
        columns = dict(list(images.items())[:1])
    else:
        numbers = [name for name, kind in columns.items() if kind == _NUMBER]
        for pattern in (text.partition("@")[0] for text in views.values()):
            if "*" in pattern and (matched := sum(fnmatchcase(name, pattern) for name in numbers)):
                columns[pattern] = f"{matched} columns of numbers"
    seen = choose_views(views, columns, str(place))
    sizes = {role: sum(_open(path).metadata.num_rows for path in paths) for role, paths in roles.items()}
    classes, targets = [UNLABELLED], {role: np.zeros(size, np.int64) for role, size in sizes.items()}
    if label is not None:
        values = {role: _labels(paths, label, may_lack=role == "train") for role, paths in roles.items()}
        classes, targets = class_numbers(values, names, {role: str(paths[0]) for role, paths in roles.items()})
    sources: dict[str, Source] = {}
    for part, paths in roles.items():
        inputs: dict[str, Encoded | InMemory] = {}
        for role, view in seen.items():
            there = _matching(_open(paths[0]).schema_arrow, view.input, label)
            if there and view.input not in inputs:
                inputs[view.input] = _input(paths, view.input, there, schema, sizes[part])
            elif not there and (part == "train" or role == "student"):
                raise DataError(f"{paths[0]} has no column {view.input!r}, which {in_words(role)} sees.")
        sources[part] = Source(targets[part], inputs)
    read = {role: [path.name for path in paths] for role, paths in roles.items()}
    return Found(classes, sources, seen, labelled=label is not None, notes={"files": read, **notes})


_IMAGES, _LIST, _NUMBER = "images", "lists of numbers", "numbers"


def _label_column(
    schema: "pa.Schema", label: str | None, path: Path, need_labels: bool
) -> tuple[str | None, list[str] | None]:
    """The label column, and the names of the classes if the schema says them."""
    features = _features(schema)
    marked = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    chosen = label or next((name for name in (*marked, *OBVIOUS) if name in schema.names), None)
    if chosen is None and not need_labels:
        return None, None
    if chosen is None or chosen not in schema.names:
        wanted = f"no column {label!r}" if label else "no column of labels"
        raise DataError(f"{path} has {wanted}. It has: {_have(schema)}. Name one with --label.")
    names = features.get(chosen, {}).get("names")
    return chosen, names if isinstance(names, list) else None


def _columns(schema: "pa.Schema", label: str | None) -> dict[str, str]:
    """The columns that can be seen, and what they hold; those marked as images first."""
    import pyarrow as pa

    marked = [name for name, feature in _features(schema).items() if feature.get("_type") == "Image"]
    found = dict.fromkeys((name for name in marked if name in schema.names), _IMAGES)
    for field in schema:
        if _holds_bytes(field.type):
            found.setdefault(field.name, _IMAGES)
        elif _is_list(field.type):
            found.setdefault(field.name, _LIST)
        elif field.name != label and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
            found.setdefault(field.name, _NUMBER)
    return found


def _matching(schema: "pa.Schema", name: str, label: str | None) -> list[str]:
    if name in schema.names:
        return [name]
    kinds = _columns(schema, label)
    return [column for column, kind in kinds.items() if kind == _NUMBER and fnmatchcase(column, name)]


def _input(paths: list[Path], name: str, columns: list[str], schema: "pa.Schema", count: int) -> Encoded | InMemory:
    import pyarrow as pa

    kind = schema.field(columns[0]).type
    if _holds_bytes(kind):
        # Of a struct the path is not needed.
        return Rows(paths, f"{name}.bytes" if pa.types.is_struct(kind) else name, count)
    pieces = [_numbers(path, columns) for path in paths]
    if len({piece.shape[1] for piece in pieces}) > 1:
        raise DataError(f"{paths[0].parent}: column {name!r} has lists of other lengths in other files.")
    return InMemory(torch.from_numpy(np.concatenate(pieces)))


def _numbers(path: Path, columns: list[str]) -> Float32[np.ndarray, "rows numbers"]:
    table = _open(path).read(columns=columns)
    arrays = []
    for name in columns:
        column = table.column(name)
        if _is_list(column.type):
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


def _have(schema: "pa.Schema") -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _is_list(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return listed and (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type))


def _features(schema: "pa.Schema") -> dict[str, dict[str, Any]]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return {key: value for key, value in features.items() if isinstance(value, dict)} if features else {}


def _holds_bytes(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _labels(paths: list[Path], label: str, *, may_lack: bool) -> Shaped[np.ndarray, " n"]:
    import pyarrow as pa

    pieces = []
    for path in paths:
        file = _open(path)
        if label not in file.schema_arrow.names:
            raise DataError(f"{path} has no column {label!r}, which its siblings have.")
        column = file.read(columns=[label]).column(0)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if column.null_count and may_lack and not pa.types.is_null(column.type):
            if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
                column = column.cast(pa.int64())  # an unsigned type has no room for the mark
            number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
            column = column.fill_null(NO_LABEL if number else "")
        elif column.null_count:
            raise DataError(f"{path}: {column.null_count} labels are missing in column {label!r}.")
        values = column.to_numpy()
        pieces.append(values.astype(str) if values.dtype == object else values)
    return np.concatenate(pieces)


def _open(path: Path) -> Any:
    parquet = _pyarrow()
    import pyarrow as pa

    try:
        return parquet.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}. Fetch it again.") from error


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ConfigError("Parquet files need pyarrow: pip install 'kantor[parquet]'.") from error
    return parquet
