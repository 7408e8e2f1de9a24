"""Names of classes: their order, and one file's numbers as another's."""

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import DataError

NO_LABEL, LEFT_OUT = -1, -2
"""In the place of a class number: a training sample without a label, and one of a class that is not wanted."""


def in_order(names: Iterable[str]) -> list[str]:
    """Classes in the order of their numbers: as text, and where all are whole numbers, as those (2 before 10)."""
    names = sorted(names)
    if all(name.isascii() and name.isdigit() for name in names):
        names.sort(key=lambda name: (len(name.lstrip("0")), name.lstrip("0")))
    return names


def spelling(name: str) -> str:
    """A class name as it is compared: one spelling of accents, no space around it."""
    return unicodedata.normalize("NFC", name).strip()


def checked_names(names: Sequence[str], where: str) -> list[str]:
    """The names of classes, each of which means one.

    Raises:
        DataError: a name is empty, stands for two classes, or is no text that can be written.
    """
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        if not spelling(name):
            raise DataError(f"{where}: class {number} has no name. Give every class one.")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(f"{where}: the name of class {name!r} is not valid UTF-8. Rename it.") from None
        other = seen.setdefault(spelling(name), number)
        if other != number:
            raise DataError(
                f"{where}: two classes of one name, {names[other]!r} and {name!r} (classes {other} and {number}). "
                "Rename one, or merge them."
            )
    return list(names)


def renumbered(
    values: Int64[np.ndarray, " n"], names: Sequence[str], ours: Sequence[str], where: str
) -> Int64[np.ndarray, " n"]:
    """Class numbers of a file that names its classes ``names``, as numbers of ``ours``: matched by name.

    Raises:
        DataError: a label is out of range, or of a class that is not among ``ours``.
    """
    if list(names) == list(ours):
        return values
    names = checked_names(names, where)
    outside = np.flatnonzero((values < NO_LABEL) | (values >= len(names)))
    if len(outside):
        raise DataError(
            f"{where}, row {outside[0]}: label {values[outside[0]]} is out of range; it names {len(names)} classes."
        )
    index = {spelling(name): number for number, name in enumerate(ours)}
    number = np.asarray([index.get(spelling(name), LEFT_OUT) for name in names] + [NO_LABEL], dtype=np.int64)
    strange = np.flatnonzero(number[values] == LEFT_OUT)
    if len(strange):
        raise DataError(
            f"{where}, row {strange[0]}: class {names[values[strange[0]]]!r} is not among the training classes "
            f"{list(ours)[:20]}. Name the classes alike in every file."
        )
    return number[values]
