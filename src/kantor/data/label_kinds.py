"""Labels that are no class a sample: numbers, several labels, maps of classes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64, Shaped

from kantor.core.errors import DataError
from kantor.data.class_names import NO_LABEL, checked_names
from kantor.data.labels import whole_numbers

LabelKind = Literal["classes", "numbers", "several", "maps", "next"]
"""What a data set's labels are: a class a sample; one or several real numbers; a yes or no for each of several labels;
a class at each of many places (pixels, tokens); or
the tokens themselves, each to be predicted from those before it."""
IN_WORDS: Mapping[LabelKind, str] = {
    "classes": "a class a sample",
    "numbers": "a number, or a row of them, a sample",
    "several": "a row of 0 and 1 a sample",
    "maps": "class numbers at every place of a sample",
    "next": "the tokens themselves",
}
IGNORED = -100
"""The label of a place that has none, as torch's losses leave it out."""
SOMEWHERE_ELSE = (IGNORED, 255)
"""Labels of a map that say that a place has none, the second where it cannot be a class."""


def label_arrays(
    labels: Mapping[str, Shaped[np.ndarray, "n ..."]], kind: LabelKind, names: Sequence[str] | None, where: str
) -> tuple[list[str], dict[str, Shaped[np.ndarray, "n ..."]]]:
    """Names of the outputs that a model needs, and each part's labels: float32 numbers, or int64 maps.

    In the training part a number that is NaN, or a row of -1 among several labels, says that a sample has none; it is
    NaN then.

    Args:
        labels: by part; ``train`` is among them.
        kind: what they are read as; not ``classes``, for which there is :func:`kantor.data.labels.class_numbers`.
        names: of numbers, labels or classes, where the file says.
        where: the file, for messages.

    Raises:
        DataError: labels that are of another kind; the part and the row are named.
    """
    read = {"numbers": _numbers, "several": _several, "maps": _maps, "next": _maps}[kind]
    found = {part: read(values, f"{where}, {part} part", part == "train") for part, values in labels.items()}
    widths = {part: _width(values) for part, values in found.items()}
    width = max(widths.values())
    if kind not in ("maps", "next") and min(widths.values()) < width:
        raise DataError(f"{where}: the labels of its parts are of other widths: {widths}. Give all of them the same.")
    known = checked_names([str(name) for name in (range(width) if names is None else names)], where)
    if len(known) < width or (kind not in ("maps", "next") and len(known) > width):
        raise DataError(f"{where} names {len(known)} classes, and its labels are of {width}. Name each of them.")
    return known, found


def counted(number: int, kind: LabelKind) -> str:
    """So many classes, numbers or labels, in words."""
    what = {"classes": "class", "maps": "class", "numbers": "number", "several": "label", "next": "token"}[kind]
    plural = what if number == 1 else f"{what}es" if what == "class" else f"{what}s"
    where = {"maps": " at every place", "numbers": " a sample"}.get(kind, "")
    return f"{number} {plural}{where}"


def strata_of(targets: Shaped[np.ndarray, "n ..."]) -> Int64[np.ndarray, " n"]:
    """By what samples are cut into parts in proportion: their classes; of other labels all samples are alike.

    Negative where a sample has no label.
    """
    if is_classes(targets):
        return targets
    if targets.dtype.kind != "f":
        return np.zeros(len(targets), np.int64)
    return np.where(np.isnan(targets.reshape(len(targets), -1)).any(axis=1), NO_LABEL, 0).astype(np.int64)


def is_classes(targets: Shaped[np.ndarray, "n ..."]) -> bool:
    """Whether labels are a class number a sample."""
    return targets.ndim == 1 and targets.dtype.kind != "f"


def texts_of(targets: Shaped[np.ndarray, "n ..."], names: Sequence[str]) -> list[str]:
    """Each sample's label in words: its class, its numbers, the labels that it has; of a map nothing."""
    if is_classes(targets):
        numbers: list[int] = targets.tolist()
        return [names[number] if 0 <= number < len(names) else f"class {number}" for number in numbers]
    if targets.dtype.kind != "f":
        return [""] * len(targets)
    rows = targets.reshape(len(targets), -1)
    return [", ".join(f"{number:.4g}" for number in row[:4]) for row in rows.tolist()]


def _width(values: Shaped[np.ndarray, "n ..."]) -> int:
    """How many outputs labels need."""
    if values.dtype.kind == "f":
        return 1 if values.ndim == 1 else values.shape[1]
    classes = values[(values >= 0) & (values != SOMEWHERE_ELSE[1])]
    return int(classes.max(initial=0)) + 1


def _numbers(values: Shaped[np.ndarray, "n ..."], where: str, may_lack: bool) -> Shaped[np.ndarray, "n ..."]:
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.dtype.kind not in "iuf" or values.ndim > 2:
        raise DataError(
            f"{where}: labels of shape {list(values.shape)} and type {values.dtype} are not {IN_WORDS['numbers']}."
        )
    with np.errstate(over="ignore"):  # said below, as not finite
        single = values.astype(np.float32)
    rows = single.reshape(len(values), -1)
    _refuse(np.isinf(rows).any(axis=1) | (np.isnan(rows).any(axis=1) & (not may_lack)), where, "is not finite")
    if values.dtype != np.float32:
        _refuse_lost_digits(values.reshape(rows.shape).astype(np.float64), rows, where)
    return single


def _refuse_lost_digits(
    values: Shaped[np.ndarray, "n numbers"], single: Shaped[np.ndarray, "n numbers"], where: str
) -> None:
    """Refuse numbers whose differences are lost in float32, as seconds since 1970 that lie within a minute."""
    whole = ~np.isnan(values).any(axis=1)
    known, lost = values[whole], np.abs(single[whole] - values[whole]).max(axis=0, initial=0)
    spread = known.max(axis=0, initial=-np.inf) - known.min(axis=0, initial=np.inf)
    bad = np.flatnonzero((spread > 0) & (lost > 0.001 * spread))
    if len(bad):
        raise DataError(
            f"{where}: labels near {known[0, bad[0]]:g} differ by less than float32 tells apart. Subtract what they "
            "have in common."
        )


def _several(values: Shaped[np.ndarray, "n ..."], where: str, may_lack: bool) -> Shaped[np.ndarray, "n labels"]:
    if values.dtype.kind not in "iufb" or values.ndim != 2:
        raise DataError(
            f"{where}: labels of shape {list(values.shape)} and type {values.dtype} are not {IN_WORDS['several']}."
        )
    values = values.astype(np.float32)
    values[(values == NO_LABEL).all(axis=1) & may_lack] = np.nan
    _refuse((~np.isin(values, (0, 1)) & ~np.isnan(values)).any(axis=1), where, "is not 0 or 1")
    _refuse(np.isnan(values).any(axis=1) & (not may_lack), where, "is missing")
    return values


def _maps(values: Shaped[np.ndarray, "n ..."], where: str, may_lack: bool) -> Int64[np.ndarray, "n ..."]:  # noqa: ARG001
    if values.ndim < 2:
        raise DataError(f"{where}: labels of shape {list(values.shape)} are not {IN_WORDS['maps']}.")
    flat = whole_numbers(values.reshape(len(values), -1), where)
    _refuse(((flat < 0) & (flat != SOMEWHERE_ELSE[0])).any(axis=1), where, "is negative, and not -100, which is none")
    return flat.reshape(values.shape)


def _refuse(bad: Any, where: str, what: str) -> None:
    """Refuse the rows where ``bad``, a boolean array, is true."""
    rows = np.flatnonzero(bad)
    if len(rows):
        raise DataError(
            f"{where}, row {rows[0]}: a label {what} ({len(rows)} such rows). Correct them, or leave them out."
        )
