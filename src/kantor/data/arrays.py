"""Named arrays, of an npz or of a reader's: views of the same instances, and their labels."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped, UInt8
from torch import Tensor

from kantor.core.errors import ConfigError, DataError
from kantor.core.files import read_npz
from kantor.data.class_names import renumbered
from kantor.data.images import resize
from kantor.data.label_kinds import LabelKind, label_arrays
from kantor.data.labels import OBVIOUS, UNLABELLED, as_text, class_numbers, whole_numbers
from kantor.data.roles import PARTS
from kantor.data.source import NORMALISED, Found, Source
from kantor.data.store import InMemory
from kantor.data.token_array import BESIDE, IDS, TokenArray, token_array, tokens_themselves, vocabulary_of
from kantor.data.views import View, choose_views, in_words

Arrays = dict[str, Shaped[np.ndarray, "..."]]

_SPLIT = "|".join(PARTS)
_INDEX = re.compile(rf"^({_SPLIT})(?:_(?:index|indices|idx|ids|rows))?$")
_BY_PART = re.compile(rf"^(?:(?P<after>.+)_(?P<last>{_SPLIT})(?P<ids>_ids)?|(?P<first>{_SPLIT})_(?P<before>.+))$")
_CLASS_NAMES = ("classes", "class_names", "label_names")
_IDS = "_ids"
_FAR = 20
"""Further from 0 no pixel is that mean and deviation were taken out of."""


def read_arrays(
    path: Path,
    image_size: int | None,
    views: Mapping[str, str] | None,
    label: str | None,
    need_labels: bool,
    kind: LabelKind = "classes",
) -> Found:
    """Read an npz; see :func:`arrays_found`.

    Raises:
        DataError: it is damaged, or see there.
        ConfigError: see there.
    """
    arrays = read_npz(path, "It may be damaged; copy it again, or save plain arrays with np.savez.")
    return arrays_found(arrays, str(path), image_size, views, label, need_labels, kind)


def arrays_found(
    arrays: Arrays,
    path: str,
    image_size: int | None,
    views: Mapping[str, str] | None,
    label: str | None,
    need_labels: bool,
    kind: LabelKind = "classes",
) -> Found:
    """Labels, one array per view, and the parts if named arrays say them.

    One row is one instance in every array. A row of one dimension is a vector and taken as it is, in float32; uint8
    rows of two or three dimensions are images, ``[height, width]``, ``[height, width, channels]`` or
    ``[channels, height, width]``; floating-point ones must lie in [0, 1], or be normalised already, around 0, and are
    shown as they are then. Rows of an array called ``input_ids`` are
    tokens, which stay whole numbers; ``attention_mask`` and ``token_type_ids`` are given to the network with them
    (:mod:`kantor.data.token_array`). Parts are index arrays called ``train``,
    ``test``, ``validation`` (or ``train_index`` and so on), or arrays by part (``x_train``, ``y_train``, ``x_test``;
    or ``train_images``); without them opening cuts 40 % for the test. Class names are taken from ``class_names``.
    Labels are class numbers or names, or what ``kind`` says: numbers ``[n]`` or ``[n, numbers]``, several labels a row
    ``[n, labels]`` in 0 and 1, or maps of class numbers ``[n, ...]``. Where the next token is to be predicted and there
    are no labels, they are the tokens themselves.
    What teachers alone see may be missing outside the training part. Views may number their instances in ``NAME_ids``,
    one number or text per row: no id may be there twice, and where one view has ids all that are seen have them, the
    same row by row.

    Raises:
        DataError: no labels, arrays that do not fit each other, ids that do not say which rows pair up, values that are
            not finite, labels out of range.
        ConfigError: several views and no choice among them, or a choice that does not exist.
    """
    names = _take_names(arrays, path)
    parts, strays = _by_part(arrays, path)
    own_names = {part: own for part, held in parts.items() if (own := _take_names(held, path)) is not None}
    names = names or own_names.get("train")
    found = {part: _take_label(held, label, path, part, need_labels, kind) for part, held in parts.items()}
    labels = {part: values for part, values in found.items() if values is not None}
    labelled = len(labels) == len(parts)
    if not labelled:
        names, labels = [UNLABELLED], {part: np.zeros(_rows(held), np.int64) for part, held in parts.items()}
    for part, values in labels.items():
        if not labelled and all(array.ndim < 2 for array in parts[part].values()):
            raise DataError(
                f"{path}: no array of the {part} part has rows: {', '.join(parts[part])}. Give it at least two "
                "dimensions, the first of them the instances."
            )
        if not len(values):
            raise DataError(f"{path}: the {part} part has no rows. Leave its arrays out, or fill them.")
    _same_rows(parts, labels, path)
    _same_types(parts, path)
    roles, ignored = _choose_views(parts["train"], views, path, len(labels["train"]))
    cuts = _take_cuts(parts["train"], len(labels["train"]), path) if len(parts) == 1 else {}
    if kind == "classes" or not labelled:
        classes, numbers = _class_numbers(labels, names, own_names, path)
    else:
        classes, numbers = label_arrays(labels, kind, names, path)
    sources, vocabulary = {}, vocabulary_of(held[IDS] for held in parts.values() if IDS in held)
    normalised: dict[str, str] = {}
    for part, held in parts.items():
        _same_instances(held, roles, len(labels[part]), f"{path}, {part} part")
        stores: dict[str, InMemory | TokenArray] = {}
        for role, view in roles.items():
            array = view.input
            if array == IDS and array in held and array not in stores:
                stores[array] = token_array(held, vocabulary, f"{path}, {part} part")
            elif array in held and array not in stores:
                prepared = _prepared(held[array], image_size, f"{path}, array {array!r}")
                normalised |= _already_normalised(prepared)
                stores[array] = InMemory(prepared)
            elif array not in held and (part == "train" or role == "student"):
                raise DataError(
                    f"{path}: view {array!r}, which {in_words(role)} sees, has no array for the {part} part."
                )
        sources[part] = Source(numbers[part], stores)
    ignored += strays
    notes: dict[str, Any] = ({"ignored_arrays": ignored} if ignored else {}) | normalised
    return Found(classes, sources, roles, cuts, test_share=0.4, labelled=labelled, kind=kind, notes=notes)


def _class_numbers(
    labels: dict[str, Shaped[np.ndarray, " n"]],
    names: list[str] | None,
    own_names: Mapping[str, list[str]],
    path: str,
) -> tuple[list[str], dict[str, Int64[np.ndarray, " n"]]]:
    for part, own in own_names.items():
        if names is None:
            raise DataError(f"{path} names the classes of the {part} part alone. Name them in {_CLASS_NAMES[1]}.")
        if labels[part].dtype.kind not in "US":
            where = f"{path}, {part} part"
            labels[part] = renumbered(whole_numbers(labels[part], where), own, names, where)
    return class_numbers(labels, names, dict.fromkeys(labels, path))


def _take_names(arrays: Arrays, path: str) -> list[str] | None:
    key = next((key for key in _CLASS_NAMES if key in arrays and arrays[key].ndim == 1), None)
    if key is None:
        return None
    return [str(name) for name in as_text(arrays.pop(key), f"{path}, array {key!r}").tolist()]


def _by_part(arrays: Arrays, path: str) -> tuple[dict[str, Arrays], list[str]]:
    """``x_train`` under ``train`` as ``x``, and what is of no part; a file without such names is one, ``train``."""
    parts: dict[str, Arrays] = {}
    strays: list[str] = []
    for key, array in arrays.items():
        match = None if _INDEX.match(key) else _BY_PART.match(key)
        if match is None:
            strays.append(key)
            continue
        part = PARTS[match["last"] or match["first"]]
        name = match["after"] + (match["ids"] or "") if match["after"] else match["before"]
        if name in parts.setdefault(part, {}):
            raise DataError(f"{path} has {name!r} of the {part} part twice, once as {key!r}. Keep one of them.")
        parts[part][name] = array
    if not parts:
        return {"train": dict(arrays)}, []
    if "train" not in parts:
        raise DataError(f"{path} has arrays for {', '.join(parts)} and none for train.")
    for key in strays:
        if key.removesuffix(_IDS) in parts["train"] and key.endswith(_IDS):
            raise DataError(
                f"{path}: the arrays are by part, and {key!r} does not say of which. Call it {key}_train, "
                f"and {key}_test for the test part."
            )
    return parts, sorted(strays)


def _take_label(
    arrays: Arrays, label: str | None, path: str, part: str, need_labels: bool, kind: LabelKind
) -> Shaped[np.ndarray, "n ..."] | None:
    key = label if label is not None else next((name for name in OBVIOUS if name in arrays), None)
    if key is None and kind == "next" and IDS in arrays:
        return tokens_themselves(arrays)
    if key is None and not need_labels:
        return None
    if key is None or key not in arrays:
        wanted = f"called {label!r}" if label is not None else f"of labels ({', '.join(OBVIOUS)})"
        raise DataError(f"{path} has no array {wanted} for {part}. It has: {', '.join(arrays)}. Name one with --label.")
    found = arrays.pop(key)
    if kind != "classes":
        return found
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise DataError(
            f"{path}: labels {key!r} have shape {list(found.shape)}; one class number per row is needed. Numbers, "
            "several labels a row and maps are learned by --task regression, several_labels or dense_labels."
        )
    return found


def _rows(arrays: Arrays) -> int:
    return max((len(array) for array in arrays.values() if array.ndim >= 2), default=0)


def _take_cuts(arrays: Arrays, samples: int, path: str) -> dict[str, Int64[np.ndarray, " rows"]]:
    cuts: dict[str, Int64[np.ndarray, " rows"]] = {}
    for key, array in arrays.items():
        match = _INDEX.match(key)
        if match is None or array.ndim != 1 or array.dtype.kind not in "iub":
            continue
        rows = np.flatnonzero(array) if array.dtype.kind == "b" else array.astype(np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= samples):
            raise DataError(f"{path}: array {key!r} names rows outside 0 to {samples - 1}.")
        cuts[PARTS[match[1]]] = np.sort(rows)
    if cuts and "train" not in cuts:
        cuts["train"] = np.setdiff1d(np.arange(samples), np.concatenate(list(cuts.values())))
    everything = np.concatenate(list(cuts.values())) if cuts else np.empty(0, np.int64)
    rows, times = np.unique(everything, return_counts=True)
    if len(rows) < len(everything):
        raise DataError(f"{path}: row {rows[times > 1][0]} is in more than one part, or twice in one.")
    return cuts


def _choose_views(
    arrays: Arrays, views: Mapping[str, str] | None, path: str, samples: int
) -> tuple[dict[str, View], list[str]]:
    """What each role sees, and the arrays that can be no view."""
    with_tokens = BESIDE if IDS in arrays else ()
    usable = [
        key
        for key, array in arrays.items()
        if array.ndim >= 2 and array.dtype.kind in "iufb" and key not in with_tokens
    ]
    ids = {key + _IDS for key in usable}
    ignored = sorted(key for key in arrays if key not in (*usable, *ids, *with_tokens) and not _INDEX.match(key))
    if not usable:
        raise DataError(f"{path} has no array of {samples} rows that could be a view. It has: {', '.join(arrays)}.")
    return choose_views(views, {key: str(list(arrays[key].shape[1:])) for key in usable}, path), ignored


def _same_instances(arrays: Arrays, roles: Mapping[str, View], samples: int, where: str) -> None:
    """Views that number their instances do so without repeats, all of them, and pair up row by row."""
    seen = [name for name in dict.fromkeys(view.input for view in roles.values()) if name in arrays]
    numbered = {name: ids for name in seen if (ids := _ids(arrays, name, samples, where)) is not None}
    if not numbered:
        return
    (first, ours), *others = numbered.items()
    missing = [name + _IDS for name in seen if name not in numbered]
    if missing:
        raise DataError(
            f"{where}: there is {first}{_IDS} and no {' or '.join(missing)}, so whether the rows of the views are the "
            "same instances cannot be checked. Give ids for every view or for none."
        )
    for second, theirs in others:
        if (ours.dtype.kind in "US") != (theirs.dtype.kind in "US"):
            raise DataError(f"{where}: {first}{_IDS} and {second}{_IDS} are text and numbers. Write both alike.")
        strange = np.flatnonzero(ours != theirs)
        if len(strange):
            row = strange[0]
            raise DataError(
                f"{where}: the views do not pair up. Row {row} is instance {ours[row]} in {first!r} and {theirs[row]} "
                f"in {second!r} ({len(strange)} such rows). Sort both alike and keep what both have."
            )


def _ids(arrays: Arrays, name: str, samples: int, where: str) -> Shaped[np.ndarray, " n"] | None:
    """The numbers of a view's instances; None where it has none, or an array of vectors by that name."""
    ids = arrays.get(name + _IDS)
    if ids is not None and ids.ndim == 2 and ids.shape[1] == 1:
        ids = ids[:, 0]
    if ids is None or ids.ndim != 1:
        return None
    if len(ids) != samples:
        raise DataError(f"{where}: array {name + _IDS!r} has {len(ids)} ids for {samples} rows. Give every row one.")
    known, which, times = np.unique(ids, return_inverse=True, return_counts=True)
    if len(known) < samples:
        rows = np.flatnonzero(times[which] > 1)
        one, other, *_ = rows[which[rows] == which[rows[0]]]
        raise DataError(
            f"{where}: array {name + _IDS!r} has instance {ids[one]} more than once, in rows {one} and {other} "
            f"({samples - len(known)} rows too many). Keep one row of each instance, or give every row its own id."
        )
    return ids


def _same_rows(parts: Mapping[str, Arrays], labels: Mapping[str, Shaped[np.ndarray, "n ..."]], path: str) -> None:
    for part, arrays in parts.items():
        for key, array in arrays.items():
            if array.ndim >= 2 and len(array) != len(labels[part]):
                raise DataError(
                    f"{path}: array {key!r} has {len(array)} rows for {part} and the labels have {len(labels[part])}."
                )


def _same_types(parts: Mapping[str, Arrays], path: str) -> None:
    """Vectors of whole numbers in one part and of fractions in another are hardly on one scale."""
    for key in parts["train"]:
        vectors = {part: held[key] for part, held in parts.items() if key in held and held[key].ndim == 2}
        whole = [part for part, x in vectors.items() if x.dtype.kind in "iub"]
        others = (part for part, x in vectors.items() if x.dtype.kind == "f" and (x != np.rint(x)).any())
        other = next(others, None) if whole else None
        if other is not None:
            raise DataError(
                f"{path}: array {key!r} holds whole numbers ({vectors[whole[0]].dtype}) in the {whole[0]} part and "
                f"fractions ({vectors[other].dtype}) in {other}. Scale both alike, and save them in one "
                "type."
            )


def _prepared(
    values: Shaped[np.ndarray, "n ..."], image_size: int | None, where: str
) -> Float32[Tensor, "n ..."] | UInt8[Tensor, "n c h w"]:
    if 0 in values.shape[1:]:
        raise DataError(f"{where}: a row of shape {list(values.shape[1:])} holds no number. Fill it, or leave it out.")
    if values.ndim == 2:
        if image_size is not None:
            raise ConfigError(f"{where} holds vectors: --image-size is for images.")
        with np.errstate(over="ignore"):  # said, as not finite
            return torch.from_numpy(_finite(values.astype(np.float32), where))
    if values.ndim == 3:
        values = values[:, None]
    elif values.ndim == 4 and values.shape[-1] in (1, 3) and values.shape[1] not in (1, 3):
        values = values.transpose(0, 3, 1, 2)
    if values.ndim != 4 or values.shape[1] not in (1, 3):
        raise DataError(f"{where}: a row of shape {list(values.shape[1:])} is neither a vector nor an image.")
    if values.dtype != np.uint8:
        values = _finite(values.astype(np.float32), where)
        low, high = values.min(initial=0), values.max(initial=0)
        if (low < 0 or high > 1) and not (-_FAR <= low < 0 and high <= _FAR):
            raise DataError(f"{where}: pixels run from {low:g} to {high:g}; give uint8, or [0, 1].")
    return resize(torch.from_numpy(np.ascontiguousarray(values)), image_size)


def _already_normalised(values: Shaped[Tensor, "n ..."]) -> dict[str, str]:
    """The note that pixels are on another scale than [0, 1]; empty where they are not."""
    if values.ndim != 4 or values.dtype == torch.uint8 or not len(values) or values.min() >= 0:
        return {}
    low, high = values.min().item(), values.max().item()
    return {NORMALISED: f"from {low:.2g} to {high:.2g}: normalised already, and shown to networks as they are"}


def _finite(values: Float32[np.ndarray, "n ..."], where: str) -> Float32[np.ndarray, "n ..."]:
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(bad):
        raise DataError(f"{where}: row {bad[0]} holds a value that is not finite ({len(bad)} such rows).")
    return values
