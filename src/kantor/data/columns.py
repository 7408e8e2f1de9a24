"""What the columns of a parquet file are: which are seen, which holds the labels, and whether two files agree."""

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kantor.core.errors import DataError
from kantor.data.labels import OBVIOUS

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES, LISTS, NUMBERS = "images", "lists of numbers", "numbers"


def kind_of(kind: "pa.DataType") -> str | None:
    """What a column of such a type can be seen as; None for text and the like."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return IMAGES if kind.get_field_index("bytes") >= 0 else None
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return IMAGES
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return LISTS if _is_number(kind.value_type) else None
    return NUMBERS if _is_number(kind) else None


def columns_of(schema: "pa.Schema", labels: Sequence[str] = ()) -> dict[str, str]:
    """The columns that can be seen, and what they hold; those marked as images first. No column of labels is one."""
    marked = [name for name, feature in _features(schema).items() if feature.get("_type") == "Image"]
    found = {name: IMAGES for name in marked if name in schema.names and kind_of(schema.field(name).type) == IMAGES}
    for field in schema:
        kind = kind_of(field.type)
        if kind is not None and not (field.name in labels and kind != IMAGES):
            found.setdefault(field.name, kind)
    return found


def matching(schema: "pa.Schema", name: str, labels: Sequence[str] = ()) -> list[str]:
    """The column called ``name``, or those of numbers under a pattern, in the order of the schema."""
    if name in schema.names:
        return [name]
    kinds = columns_of(schema, labels)
    return [column for column, kind in kinds.items() if kind == NUMBERS and fnmatchcase(column, name)]


def same_columns(
    ours: "pa.Schema", theirs: "pa.Schema", name: str, labels: Sequence[str], paths: tuple[Path, Path]
) -> None:
    """Two files hold the same columns under a name or pattern, whatever their order, and of one kind.

    Raises:
        DataError: they do not; the columns are named.
    """
    first, second = (matching(schema, name, labels) for schema in (ours, theirs))
    if set(first) != set(second):
        one, other = sorted(set(first) - set(second)), sorted(set(second) - set(first))
        says = [f"{paths[0].name} alone has {', '.join(one[:5])}"] if one else []
        says += [f"{paths[1].name} alone has {', '.join(other[:5])}"] if other else []
        raise DataError(f"{paths[1]} has other columns for {name!r}: {'; '.join(says)}. Give every file the same.")
    for column in first:
        one, other = ours.field(column).type, theirs.field(column).type
        if kind_of(one) != kind_of(other):
            raise DataError(
                f"Column {column!r} is {one} in {paths[0]} and {other} in {paths[1]}. Write it alike in every file."
            )


def label_column(
    schema: "pa.Schema", label: str | None, path: Path, need_labels: bool
) -> tuple[str | None, list[str] | None]:
    """The label column, and the names of the classes if the schema says them.

    Raises:
        DataError: there is none where one is needed, or the names are no list of names.
    """
    features = _features(schema)
    marked = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    found = label or next((name for name in (*marked, *OBVIOUS) if name in schema.names), None)
    if found is None and not need_labels:
        return None, None
    if found is None or found not in schema.names:
        wanted = f"no column {label!r}" if label else "no column of labels"
        raise DataError(f"{path} has {wanted}. It has: {have(schema)}. Name one with --label.")
    return found, names_in(schema, found, path)


def names_in(schema: "pa.Schema", label: str, path: Path) -> list[str] | None:
    """The names of the classes, as the ``huggingface`` metadata of the schema says them; None where it does not.

    Raises:
        DataError: they are no list of names.
    """
    names = _features(schema).get(label, {}).get("names")
    if names is None or names == []:
        return None
    if isinstance(names, dict) and set(names) == {str(number) for number in range(len(names))}:
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise DataError(
            f"{path}: the names of the classes in its `huggingface` metadata are no list of names, but "
            f"{str(names)[:80]}. Write the file again with a ClassLabel, or without the metadata."
        )
    return [str(name) for name in names]


def have(schema: "pa.Schema") -> str:
    """The columns and their types, for messages."""
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _features(schema: "pa.Schema") -> dict[str, dict[str, Any]]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return (
        {key: value for key, value in features.items() if isinstance(value, dict)} if isinstance(features, dict) else {}
    )
