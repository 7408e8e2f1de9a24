"""Parquet files as Hugging Face writes them: ``train-00000-of-00002.parquet``; and their labels."""

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from kantor.core.errors import DataError, KantorError
from kantor.core.optional import optional
from kantor.data.class_names import renumbered
from kantor.data.columns import names_in
from kantor.data.labels import NO_LABEL, whole_numbers

_NAME = re.compile(
    r"^(?P<part>train|test|val|valid|validation)(?:-(?P<shard>\d+)-of-(?P<shards>\d+))?(?:-[0-9a-f]+)?\.parquet$"
)


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
    integer = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    if not (text or integer or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise DataError(f"{path}: column {label!r} holds {kind}; one class number or name per row is needed.")
    if column.null_count and may_lack and not pa.types.is_null(kind):
        if integer:
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
        DataError: it is none, or two of its columns have one name.
        ConfigError: pyarrow is not installed.
    """
    with optional("Parquet files need pyarrow", "parquet"):
        import pyarrow.parquet as parquet
    try:
        file = parquet.ParquetFile(path, page_checksum_verification=True)
        names = file.schema_arrow.names
    except Exception as error:  # as above
        raise DataError(f"{path} cannot be read as parquet: {error}. Fetch it again.") from error
    refuse_twice(names, path)
    return file


def refuse_twice(names: Sequence[str], path: Path) -> None:
    """Refuse columns of one name, of which a reader would take the first.

    Raises:
        DataError: names the column.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path} has the column {twice!r} more than once. Give every column a name of its own.")
