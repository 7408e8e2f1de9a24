"""Some of a data set's classes, and so many labels of each: made before anything is decoded."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import ConfigError, DataError, suggest
from kantor.data import split
from kantor.data.labels import LEFT_OUT
from kantor.data.source import Found


def only_classes(found: Found, wanted: Sequence[str]) -> Found:
    """The data with these classes alone, numbered in the order given; the others' samples are marked ``LEFT_OUT``.

    Ids stay what they were, so cuts of two class sets of one data set never share a sample.

    Raises:
        ConfigError: a class is unknown or named twice, or there is only one.
    """
    names = list(found.classes)
    for name in wanted:
        if name not in names:
            raise ConfigError(f"classes: the data has no class {name!r}. {suggest(name, names)}")
        if list(wanted).count(name) > 1:
            raise ConfigError(f"classes names {name!r} twice.")
    if len(wanted) < 2:
        raise ConfigError("classes: name at least two, as A,B,C.")
    number = np.full(len(names), LEFT_OUT, dtype=np.int64)
    number[[names.index(name) for name in wanted]] = np.arange(len(wanted))
    parts = {
        name: replace(source, targets=np.where(source.targets < 0, source.targets, number[source.targets]))
        for name, source in found.parts.items()
    }
    in_a_class = parts["train"].targets != LEFT_OUT
    cuts = {name: rows[in_a_class[rows]] for name, rows in found.cuts.items()}
    notes = {**found.notes, "class subset": f"{len(wanted)} of {len(names)} classes"}
    return replace(found, classes=list(wanted), parts=parts, cuts=cuts, notes=notes)


def labels_per_class(found: Found, rows: Int64[np.ndarray, " n"], number: int) -> Int64[np.ndarray, " kept"]:
    """``number`` training samples of every class, by a fixed hash of the id: fewer are a part of more.

    Raises:
        DataError: a class has fewer; it is named.
    """
    targets = found.parts["train"].targets[rows]
    sizes = np.bincount(targets, minlength=len(found.classes))
    if sizes.min() < number:
        least = int(sizes.argmin())
        raise DataError(
            f"labels_per_class is {number}, but class {found.classes[least]!r} has {sizes[least]} training samples "
            f"(validation and test set apart). Give at most {sizes[least]}."
        )
    return rows[split.choose(targets, rows, number * len(found.classes), split.LIMIT, equal=True)]


def without_labels(rows: Int64[np.ndarray, " n"], number: int | Literal["all"]) -> Int64[np.ndarray, " kept"]:
    """``number`` of the training samples that no label was taken of, by a fixed hash of the id: not by their class.

    Raises:
        DataError: there are fewer.
        ConfigError: it is no number.
    """
    if number != "all" and (not isinstance(number, int) or isinstance(number, bool)):
        raise ConfigError(f"unlabelled is a number of samples or all, not {number!r}.")
    count = len(rows) if number == "all" else number
    if not 0 < count <= len(rows):
        raise DataError(
            f"unlabelled is {number}, and {len(rows)} training samples have no label or are left out. labels_per_class "
            "or train_limit says how many keep theirs."
        )
    return np.sort(rows[np.argsort(split.hashed(rows, split.UNLABELLED), kind="stable")[:count]])
