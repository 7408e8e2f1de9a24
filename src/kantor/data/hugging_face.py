"""A data set of Hugging Face's ``datasets`` that a program has at hand: written down, and read as its files are."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kantor.core.errors import DataError

_folders: dict[str, TemporaryDirectory[str]] = {}
"""By what is in them; they go with the process."""


def is_hugging_face(given: Any) -> bool:
    """Whether it is a table of theirs, or one for each part. A stream, or one whose rows pass through a function, is
    read row by row like any other."""
    if _named(given, "DatasetDict"):
        return all(is_hugging_face(part) for part in given.values())
    return _named(given, "Dataset") and getattr(given, "format", {}).get("type") != "custom"


def written(given: Any) -> Path:
    """The folder of parquet files that a table is in, or the tables of all parts: images and the names of classes with
    them.

    Raises:
        DataError: it holds no rows.
    """
    parts = given if isinstance(given, Mapping) else {"train": given}
    if not parts or not all(len(part) for part in parts.values()):
        raise DataError("The Hugging Face data set has a part without rows. Leave it out, or fill it.")
    marks = "".join(f"{name} {getattr(part, '_fingerprint', id(part))};" for name, part in parts.items())
    key = hashlib.sha256(marks.encode()).hexdigest()
    if key not in _folders:
        _folders[key] = TemporaryDirectory(prefix="kantor-data-")
        for name, part in parts.items():
            part.to_parquet(f"{_folders[key].name}/{name}-00000-of-00001.parquet")
    return Path(_folders[key].name)


def _named(given: Any, name: str) -> bool:
    """Whether an object is of a class of theirs, which is not imported for that."""
    return any(
        kind.__name__ == name and kind.__module__.partition(".")[0] == "datasets" for kind in type(given).__mro__
    )
