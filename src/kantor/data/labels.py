"""Labels as they lie in a file -> class numbers and class names."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64, Shaped

from kantor.core.errors import DataError
from kantor.data.class_names import LEFT_OUT, NO_LABEL, checked_names, in_order

__all__ = ["LEFT_OUT", "NO_LABEL", "OBVIOUS", "UNLABELLED", "as_text", "class_numbers", "whole_numbers"]

OBVIOUS = ("label", "labels", "target", "targets", "y", "class")
"""Names a label column or array is looked for under."""
UNLABELLED = "unlabelled"
"""The only class of data without labels; and the folder, beside those of the classes, of images without one."""
# Beyond it a floating-point number no longer tells whole numbers apart.
_LARGEST = 2**53


def as_text(values: Shaped[np.ndarray, " n"], where: str) -> Shaped[np.ndarray, " n"]:
    """Labels or names in bytes as the text they encode; anything else as it is.

    Raises:
        DataError: they are not UTF-8.
    """
    if values.dtype.kind != "S":
        return values
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{where}: bytes that are not UTF-8 text. Save them as text or numbers.") from None


def class_numbers(
    labels: Mapping[str, Shaped[np.ndarray, " n"]], names: Sequence[str] | None, where: Mapping[str, str]
) -> tuple[list[str], dict[str, Int64[np.ndarray, " n"]]]:
    """Class names, and each part's class numbers.

    Whole numbers are class numbers from 0, named ``names`` or by themselves; text is looked up in ``names``, or in
    the sorted texts of the training part. There -1, or an empty text, says that a sample has no label.

    Args:
        labels: by part; ``train`` is among them. Bytes are read as UTF-8 text.
        names: the classes, where the file says.
        where: the file of each part, for messages.

    Raises:
        DataError: a label that is out of range, missing or of no class of the training part; file and row are named.
    """
    labels = {part: as_text(values, where[part]) for part, values in labels.items()}
    names = checked_names([str(name) for name in names], where["train"]) if names is not None and len(names) else None
    if labels["train"].dtype.kind == "U":
        texts = np.unique(labels["train"])
        known = names or checked_names(in_order(texts[texts != ""].tolist()), where["train"])
        index = {name: number for number, name in enumerate(known)}
        return known, {
            part: _looked_up(values, index | ({"": NO_LABEL} if part == "train" else {}), where[part])
            for part, values in labels.items()
        }
    text = next((part for part, values in labels.items() if values.dtype.kind == "U"), None)
    if text is not None:
        raise DataError(
            f"{where[text]}: labels are text in the {text} part, as {str(labels[text][0])!r}, and numbers in the train "
            "part. Write them alike."
        )
    as_numbers = {part: whole_numbers(values, where[part]) for part, values in labels.items()}
    count = len(names) if names is not None else max(int(values.max(initial=0)) for values in as_numbers.values()) + 1
    samples = sum(len(values) for values in as_numbers.values())
    for part, values in as_numbers.items():
        outside = np.flatnonzero((values < (NO_LABEL if part == "train" else 0)) | (values >= count))
        if len(outside):
            hint = ""
            if values.min() == NO_LABEL:
                hint = (
                    " (-1 marks a sample without a label, in the training part alone: leave this part out, or label it)"
                )
            raise DataError(
                f"{where[part]}, row {outside[0]}: label {values[outside[0]]} is out of range; labels are class "
                f"numbers from 0 to {count - 1}{hint}."
            )
    if names is None and count > samples:
        raise DataError(
            f"{where['train']}: labels go up to {count - 1} with {samples} samples. Labels are class numbers from 0; "
            "renumber them, or name another column with --label."
        )
    if names is None:
        _refuse_unlearned(as_numbers, where)
    return list(names) if names is not None else [str(number) for number in range(count)], as_numbers


def _refuse_unlearned(whole: Mapping[str, Int64[np.ndarray, " n"]], where: Mapping[str, str]) -> None:
    """Numbers without names are taken to be the same in every part: one that training has not may be another's."""
    known = np.unique(whole["train"])
    for part, values in whole.items():
        strange = np.flatnonzero(~np.isin(values, known))
        if len(strange) and len(known):
            raise DataError(
                f"{where[part]}, {part} part, row {strange[0]}: label {values[strange[0]]} is of no training sample "
                f"(theirs are {known.min()} to {known.max()}). Number both parts alike, or name the classes, and the "
                "labels by them."
            )


def whole_numbers(values: Shaped[np.ndarray, "n ..."], where: str) -> Int64[np.ndarray, "n ..."]:
    """Labels that are whole numbers, whatever their type.

    Raises:
        DataError: one is none; its row is named.
    """
    if values.dtype.kind in "iub":
        return (np.minimum(values, np.uint64(_LARGEST)) if values.dtype == np.uint64 else values).astype(np.int64)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        bad = np.flatnonzero(~((np.abs(values) < _LARGEST) & (values == np.round(values))))
        if not len(bad):
            return values.astype(np.int64)
        place = np.unravel_index(bad[0], values.shape)[0]
        raise DataError(
            f"{where}, row {place}: label {values.flat[bad[0]]} is no class number. Numbers are learned by --task "
            "regression."
        )
    raise DataError(f"{where}: labels of type {values.dtype} are neither class numbers nor names.")


def _looked_up(values: Shaped[np.ndarray, " n"], index: Mapping[str, int], where: str) -> Int64[np.ndarray, " n"]:
    texts, inverse = np.unique(values.astype(str), return_inverse=True)
    strange = [text for text in texts.tolist() if text not in index]
    if strange:
        raise DataError(f"{where}: label {strange[0]!r} is not among the training classes {list(index)[:20]}.")
    return np.asarray([index[text] for text in texts.tolist()], dtype=np.int64)[inverse]
