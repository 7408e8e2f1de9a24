"""A path or a name -> a data set, cut into parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError, suggest
from kantor.data.arrays import arrays_found, read_arrays
from kantor.data.column_source import read_columns
from kantor.data.cut import Cut
from kantor.data.digits import read_digits
from kantor.data.folders import read_folder, read_zip
from kantor.data.found_stores import stores_of
from kantor.data.label_kinds import IN_WORDS, LabelKind
from kantor.data.listed_images import image_lists, read_listed
from kantor.data.own import codes_of, is_reader, read_own
from kantor.data.part import DataSet, Part, Progress
from kantor.data.running_text import find_running, read_running
from kantor.data.source import Encoded, Found
from kantor.data.store import InMemory
from kantor.data.subset import only_classes
from kantor.data.tables import ENDINGS, find_tables, holds_images
from kantor.data.text_parts import tokens_in_words, with_learned
from kantor.data.text_source import holds_text, read_texts
from kantor.data.texts import Texts
from kantor.data.token_array import TokenArray
from kantor.data.tokenizer import Learned, Tokenizer
from kantor.data.views import in_words

Tokenizers = Mapping[str, Tokenizer | Learned] | Callable[[], Mapping[str, Tokenizer | Learned]]
"""By role, what turns texts into tokens; or a function that says it."""
_PACKED = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
"""Endings of archives that are not read in place."""


def open_data(
    path_or_name: str | Path,
    *,
    image_size: int | None = None,
    classes: Sequence[str] | None = None,
    train_limit: int | None = None,
    labels_per_class: int | None = None,
    unlabelled: int | Literal["all"] | None = None,
    validation: float | int = 0.1,
    skip_corrupt: bool = False,
    views: Mapping[str, str] | None = None,
    label: str | None = None,
    text: str | None = None,
    tokenizers: Tokenizers | None = None,
    need_labels: bool = True,
    kind: LabelKind = "classes",
    progress: Progress | None = None,
    trusted: bool = True,
) -> DataSet:
    """Open a data set, look through what will be used of it, and cut it into parts. Images of a small part are decoded
    and checked now, those of a large one as they are read (:mod:`kantor.data.images`).

    Every cut is made by a fixed hash of the sample's id, whatever the run's seed, and stratified by class where labels
    are classes: a test part where the data brings none (20 %; 40 % of an npz), then the limit, then validation from
    what the limit left. With ``labels_per_class`` validation is cut first: it is the same for every number, and comes
    on top of it.

    Args:
        path_or_name: ``digits``; a folder or zip of class folders, with or without ``train``, ``val``, ``test`` above
            them; a folder of images that a ``metadata.csv`` lists, with their labels; a folder of parquet files as
            Hugging Face writes it; a table of texts or of numbers (tsv, csv, jsonl, parquet, or a
            folder of them, or one that ``datasets`` saved); an npz of named arrays; or a reader of your own,
            ``package.module:open_it@setting=value``, a function that returns arrays by name as an npz holds them.
        image_size: cut each image to a centred square and resize it to so many pixels a side.
        classes: keep these classes alone, numbered in this order.
        train_limit: keep so many training samples; the others are not decoded.
        labels_per_class: keep so many training samples of every class; those of a smaller number are among those of
            a larger.
        unlabelled: keep so many training samples, or all, without labels: those that have none on disk, and those that
            the two settings above leave out; chosen by a fixed hash of the id, whatever their class.
        validation: share of the training samples, in [0, 1). 0 cuts none. Not used where the data brings its own
            validation part beside a test part.
        skip_corrupt: leave out images that cannot be decoded and texts that are empty, and name them in ``facts()``,
            instead of raising.
        views: what each role sees: an array (npz) or column (parquet), as ``{"student": "view0", "teacher": "view2"}``,
            or a transform of the image, as ``{"student": "small@side=16", "teacher": "image"}``
            (:mod:`kantor.data.transforms`). Teachers that see different things are roles by their names in the place of
            ``teacher``, as ``{"student": "cheap", "mri": "scan", "ct": "xray"}``; the student may be left out of these
            where teachers alone look.
        label: name of the label column (a table) or array (npz), where it is not an obvious one. Of labels that are no
            classes also several columns (``a,b``), or those under a pattern (``y_*``).
        text: name of a table's column of texts, where it is not an obvious one.
        tokenizers: of texts: by role what turns them into tokens, or a function that says it, called where there are
            texts. Roles whose tokenizers are equal see the same.
        need_labels: off, data without any can be opened too: images in one folder, a table or npz without labels.
        kind: what the labels are read as (:data:`kantor.data.label_kinds.LabelKind`): ``classes``; from an npz, a
            reader or a table also ``numbers``, ``several`` or ``maps``.
        progress: told (done, total) images as they are decoded.
        trusted: you wrote the name; off, it stands in a file, which decides no code that runs
            (:mod:`kantor.core.trust`).

    Raises:
        DataError: files that are missing, damaged, empty, or labelled out of range; the message names them. A class
            with fewer samples than ``labels_per_class``, or fewer left than ``unlabelled``.
        ConfigError: a reader that is not there, or that nobody gave leave to import; settings that cannot be used with
            this data (``labels_per_class`` where labels are no classes, a
            role without a view, a view that is not there, one for all teachers beside one for a single one), or an
            extra that is not installed.
    """
    if not 0 <= validation < 1:
        raise ConfigError(f"A validation share of {validation} is not in [0, 1).")
    if train_limit is not None and labels_per_class is not None:
        raise ConfigError("train_limit and labels_per_class both say how much of the training part is kept: give one.")
    if trusted:
        trust.wrote(codes_of(str(path_or_name)))
    asked = _Asked(image_size, views, label, text, tokenizers, need_labels, kind)
    found = _read(path_or_name, asked)
    _check_labels(path_or_name, found, classes, labels_per_class, need_labels, kind)
    if classes is not None:
        found = only_classes(found, classes)
    notes = _noted(found, views, kind)
    cut = Cut(found, str(path_or_name))
    if len(cut.bare) and unlabelled is None:
        notes["without a label"] = f"{len(cut.bare):,} training samples, left out unless unlabelled is given"
    if cut.test():
        notes["test"] = f"the data brings no test part: {found.test_share:.0%} of it is cut by a fixed hash of the id"
    found = with_learned(found, cut.rows["test"] if cut.origin["test"] == "train" else None)
    if labels_per_class is not None:
        cut.validation(validation)
    cut.train(train_limit, labels_per_class, unlabelled)
    _need_samples(path_or_name, len(cut.rows["train"]), cut)
    stores, at, noted = stores_of(found, cut, image_size, skip_corrupt, progress)
    notes |= noted
    cut.keep(at)
    cut.validation(validation)

    parts = {name: cut.part(name, stores, at) for name in ("train", "validation", "test", "unlabelled")}
    train = parts["train"]
    _need_samples(path_or_name, 0 if train is None else len(train), cut)
    assert train is not None
    if unlabelled is not None and parts["unlabelled"] is None:
        raise DataError(f"{path_or_name} leaves no sample without a label: all of them were skipped.")
    _note_what_training_lacks(notes, parts, found.classes, kind)
    notes |= tokens_in_words(train)
    if need_labels and kind == "classes" and (train.targets == train.targets[0]).all():
        raise DataError(
            f"{path_or_name} has one class, {found.classes[train.targets[0]]}, among its training samples: there is "
            "nothing to learn from their labels. Give two classes or more; only --task none does without labels."
        )
    own = str(path_or_name) == "digits" or is_reader(str(path_or_name))
    name = str(path_or_name) if own else Path(path_or_name).resolve().name
    rest = parts["validation"], parts["test"], notes, parts["unlabelled"], kind
    return DataSet(name, list(found.classes), train, *rest)


def holds_texts(
    path: str | Path, text: str | None, views: Mapping[str, str] | None, label: str | None, kind: LabelKind
) -> bool:
    """Whether data are texts: a table of them, or running text where the next token is to be predicted.

    Args:
        path: the data.
        text, views, label: see :func:`open_data`.
        kind: what the labels are read as.

    Raises:
        DataError: a file of theirs cannot be read.
    """
    if str(path) == "digits" or is_reader(str(path)):
        return False
    place = Path(path)
    if place.suffix.lower() == ".zip":
        return False
    running = kind == "next" and text is None and bool(find_running(place))
    return running or (not image_lists(place, label) and holds_text(place, text, views, label))


def images_at(path: str | Path) -> dict[str, Encoded]:
    """All image files of a data set by part (and view), whether they have labels or not.

    Raises:
        DataError, ConfigError: the data cannot be read; see :func:`open_data`.
    """
    found = _read(path, _Asked(None, None, None, None, None, need_labels=False, kind="classes"))
    return {
        part if len(source.inputs) == 1 else f"{part}, {key}": content.take(np.arange(len(content)))
        for part, source in found.parts.items()
        for key, content in source.inputs.items()
        if not isinstance(content, InMemory | Texts | TokenArray)
    }


def _need_samples(path: str | Path, left: int, cut: Cut) -> None:
    """Refuse data that leave nothing to train on, before images are decoded for it, and after some were skipped."""
    if not left:
        why = ": none has a label. Only --task none does without, where no label is given at all"
        raise DataError(f"{path} leaves no sample to train on{why if len(cut.bare) else ''}.")


def _check_labels(
    path: str | Path,
    found: Found,
    classes: Sequence[str] | None,
    labels_per_class: int | None,
    need_labels: bool,
    kind: LabelKind,
) -> None:
    """Refuse to choose samples by labels that are not there, or are no classes."""
    setting = "classes" if classes is not None else "labels_per_class" if labels_per_class is not None else None
    if need_labels and not found.labelled:
        raise DataError(f"{path} has no labels. Only --task none does without.")
    if not found.labelled and setting:
        raise ConfigError(f"{path} has no labels to choose classes or labels_per_class by.")
    if kind != "classes" and setting:
        raise ConfigError(
            f"{setting} chooses samples by their class, and the labels are {IN_WORDS[kind]}: leave it out."
        )


def _noted(found: Found, views: Mapping[str, str] | None, kind: LabelKind) -> dict[str, Any]:
    """What there is to say of the data as they were found."""
    notes: dict[str, Any] = dict(found.notes)
    if views is not None:
        notes["views"] = {role: str(view) for role, view in found.views.items()}
    if not found.labelled:
        notes["labels"] = "the data has none"
    elif kind != "classes":
        notes["labels"] = IN_WORDS[kind]
    return notes


def _note_what_training_lacks(
    notes: dict[str, Any], parts: Mapping[str, Part | None], classes: Sequence[str], kind: LabelKind
) -> None:
    """Views that exist in training alone, and classes that do not."""
    train = parts["train"]
    assert train is not None
    judged = [held for name in ("validation", "test") if (held := parts[name]) is not None]
    without = {role: [held.name for held in judged if role not in held.stores] for role in train.stores}
    if any(without.values()):
        notes["training_only"] = "; ".join(
            f"{in_words(role)}'s view; {' and '.join(lacking)} do without it"
            for role, lacking in without.items()
            if lacking
        )
    unseen = np.setdiff1d(np.arange(len(classes)), train.targets) if kind == "classes" else []
    if len(unseen):
        notes["classes_without_training_samples"] = [classes[c] for c in unseen]
        # Without names of their own, classes are called by their numbers.
        if list(classes) == [str(k) for k in range(len(classes))]:
            seen = [classes[int(c)] for c in np.unique(train.targets)]
            begin = f"labels begin at {seen[0]}: where they count from there, subtract {seen[0]}; " * (seen[0] != "0")
            notes["empty classes"] = (
                f"{begin}students get an output for every number from 0 on; --classes "
                f"{','.join(seen[:8])}{',...' if len(seen) > 8 else ''} keeps those that have samples alone"
            )


@dataclass(frozen=True)
class _Asked:
    """What is asked of a reader; see :func:`open_data`."""

    image_size: int | None
    views: Mapping[str, str] | None
    label: str | None
    text: str | None
    tokenizers: Tokenizers | None
    need_labels: bool
    kind: LabelKind


def _read(path: str | Path, asked: _Asked) -> Found:
    image_size, views, label, need_labels, kind = (
        asked.image_size, asked.views, asked.label, asked.need_labels, asked.kind
    )  # fmt: skip
    place = Path(path)
    plain = str(path) != "digits" and not is_reader(str(path))
    lists = image_lists(place, label) if plain and asked.text is None else None
    running = plain and kind == "next" and asked.text is None and bool(find_running(place))
    text = plain and not lists and not running and holds_text(place, asked.text, views, label)
    if asked.text is not None and not text and (str(path) == "digits" or place.exists()):
        raise ConfigError(f"text names a column of a table ({', '.join(ENDINGS)}, .parquet), and {path} is none.")
    if is_reader(str(path)):
        own = read_own(str(path), image_size)
        if isinstance(own, Path):
            return _read(own, asked)
        return arrays_found(own, str(path), image_size, views, label, need_labels, kind)
    suffix = place.suffix.lower()
    tables = running or text or lists or (plain and suffix not in (".npz", ".zip") and find_tables(place))
    if label is not None and (str(path) == "digits" or ((suffix == ".zip" or place.is_dir()) and not tables)):
        raise ConfigError(f"label names a column of a table or an array of an npz; {path} has its own labels.")
    if kind != "classes" and (str(path) == "digits" or (place.exists() and not tables and suffix != ".npz")):
        raise ConfigError(
            f"{path} has a class a sample, and labels that are {IN_WORDS[kind]} are read from an npz or a table"
            f"{', or are those of running text in .txt' if kind == 'next' else ''}."
        )
    if str(path) == "digits":
        return read_digits(image_size, views)
    if not place.exists():
        near = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
        hint = f" {suggest(place.name, near)}" if near else ""
        raise DataError(
            f"There is no file or folder {path}, nor a data set of that name (there is: digits).{hint} A reader "
            "of your own is written package.module:open_it."
        )
    if text or running:
        if image_size is not None:
            raise ConfigError(f"{path} holds texts: image_size is for images. Leave it out.")
        given = asked.tokenizers() if callable(asked.tokenizers) else asked.tokenizers
        if running:
            if views is not None or label is not None:
                raise ConfigError(f"{path} is running text, which all models see: leave views and label out.")
            return read_running(place, given or {})
        return read_texts(place, asked.text, label, need_labels, given or {}, views, kind)
    if suffix == ".npz":
        return read_arrays(place, image_size, views, label, need_labels, kind)
    if lists:
        return read_listed(lists, views, label, need_labels, kind)
    if suffix == ".zip":
        return read_zip(place, views, need_labels)
    if tables:
        return read_columns(place, views, label, need_labels, kind)
    if not (place.is_dir() and holds_images(place)) and find_running(place):
        raise ConfigError(f"{path} is running text, which language models learn: --task next_token.")
    if place.is_dir():
        return read_folder(place, views, need_labels)
    unpacked = " It is packed: unpack it, and give the folder." if suffix in _PACKED else ""
    raise DataError(
        f"Cannot tell what {path} is. Give a folder, or a file that ends in .zip, .npz, .parquet, {', '.join(ENDINGS)}."
        f"{unpacked}"
    )
