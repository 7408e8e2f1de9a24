"""Parquet as Hugging Face writes it: ``train-00000-of-00002.parquet``, an image column, a label column with names."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64, Shaped

from kantor.core.errors import ConfigError, DataError
from kantor.data.labels import OBVIOUS, class_numbers
from kantor.data.roles import assign
from kantor.data.source import Found, Source

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


def read_parquet(place: Path, label: str | None) -> Found:
    """Labels of every part; images are left for later.

    Names of classes come from the schema's ``huggingface`` metadata; without it labels are numbers, or texts.

    Raises:
        DataError: no train files, no such column, files that do not agree, labels out of range.
        ConfigError: pyarrow is not installed.
    """
    files = find_parquet(place)
    used, notes = assign(files, str(place))
    roles = {role: files[name] for role, name in used.items()}
    image, label, names = _columns(files["train"][0], label)
    values = {role: _labels(paths, label) for role, paths in roles.items()}
    classes, numbers = class_numbers(values, names, {role: str(paths[0]) for role, paths in roles.items()})
    sources = {role: Source(numbers[role], Rows(roles[role], image, len(numbers[role]))) for role in roles}
    read = {role: [path.name for path in paths] for role, paths in roles.items()}
    return Found(classes, sources, notes={"files": read, **notes})


def _columns(path: Path, label: str | None) -> tuple[str, str, list[str] | None]:
    """The image column, the label column, and the names of the classes if the schema says them."""
    import pyarrow as pa

    schema = _open(path).schema_arrow
    features = _features(schema)
    images = [name for name, feature in features.items() if feature.get("_type") == "Image"] or [
        field.name for field in schema if _holds_bytes(field.type)
    ]
    have = ", ".join(f"{field.name} ({field.type})" for field in schema)
    if not images or images[0] not in schema.names:
        raise DataError(f"{path} has no column of images (bytes, or a struct with bytes). It has: {have}.")
    marked = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    chosen = label or next((name for name in (*marked, *OBVIOUS) if name in schema.names), None)
    if chosen is None or chosen not in schema.names:
        wanted = f"no column {label!r}" if label else "no column of labels"
        raise DataError(f"{path} has {wanted}. It has: {have}. Name one with --label.")
    names = features.get(chosen, {}).get("names")
    # Of a struct the path is not needed.
    image = f"{images[0]}.bytes" if pa.types.is_struct(schema.field(images[0]).type) else images[0]
    return image, chosen, names if isinstance(names, list) else None


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


def _labels(paths: list[Path], label: str) -> Shaped[np.ndarray, " n"]:
    pieces = []
    for path in paths:
        file = _open(path)
        if label not in file.schema_arrow.names:
            raise DataError(f"{path} has no column {label!r}, which its siblings have.")
        column = file.read(columns=[label]).column(0)
        if column.null_count:
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
