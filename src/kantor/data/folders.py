"""Class folders, on disk or inside a zip: ``train/CAT/1.jpg``, or ``CAT/1.jpg`` alone."""

import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import DataError
from kantor.data.labels import NO_LABEL, UNLABELLED
from kantor.data.roles import PARTS, assign
from kantor.data.source import Encoded, Found, Source
from kantor.data.views import choose_views

EXTENSIONS = (".jpg", ".jpeg", ".png")
"""Of images, in any case."""

# Left out in silence, these would be samples missing from a data set that looks complete.
_OTHER_IMAGES = (".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2", ".avif", ".heic")


class Files:
    """Images that are files under ``root``."""

    def __init__(self, root: Path, names: list[str]):
        self.root, self.names = root, names

    def __len__(self) -> int:
        return len(self.names)

    def read(self, row: int) -> bytes:
        """The file's bytes."""
        return (self.root / self.names[row]).read_bytes()

    def describe(self, row: int) -> str:
        """Its path."""
        return str(self.root / self.names[row])

    def take(self, rows: Int64[np.ndarray, " n"]) -> "Files":
        """Those at ``rows``."""
        return Files(self.root, [self.names[row] for row in rows.tolist()])


class Entries:
    """Images inside a zip, read in place."""

    def __init__(self, archive: zipfile.ZipFile, path: Path, names: list[str]):
        self.archive, self.path, self.names = archive, path, names

    def __len__(self) -> int:
        return len(self.names)

    def read(self, row: int) -> bytes:
        """The entry's bytes, whose checksum has been verified."""
        return self.archive.read(self.names[row])

    def describe(self, row: int) -> str:
        """The zip and the entry in it."""
        return f"{self.path}:{self.names[row]}"

    def take(self, rows: Int64[np.ndarray, " n"]) -> "Entries":
        """Those at ``rows``."""
        return Entries(self.archive, self.path, [self.names[row] for row in rows.tolist()])


def read_folder(root: Path, views: Mapping[str, str] | None, need_labels: bool) -> Found:
    """Class folders under ``root``; images without class folders where no labels are needed.

    Raises:
        DataError: no class folders, an empty one, images outside them, or a format that is not read.
    """
    names: list[str] = []
    for folder, below, files in os.walk(root, followlinks=True):
        relative = Path(folder).relative_to(root)
        below[:] = sorted(name for name in below if not name.startswith("."))
        names += [f"{(relative / name).as_posix()}/" for name in below]
        names += [(relative / name).as_posix() for name in files]
    return _found(names, str(root), lambda files: Files(root, files), views, need_labels)


def read_zip(path: Path, views: Mapping[str, str] | None, need_labels: bool) -> Found:
    """The same inside the zip at ``path``.

    Raises:
        DataError: it is no zip, is encrypted, or as for ``read_folder``.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a zip: {error}. Fetch it again, or unpack it.") from error
    infos = archive.infolist()
    locked = next((info.filename for info in infos if info.flag_bits & 1), None)
    if locked is not None:
        raise DataError(f"{path}:{locked} is encrypted. Unpack the zip and give the folder.")
    names = [info.filename for info in infos]
    return _found(names, str(path), lambda files: Entries(archive, path, files), views, need_labels)


def _found(
    names: Iterable[str],
    where: str,
    encoded: Callable[[list[str]], Encoded],
    views: Mapping[str, str] | None,
    need_labels: bool,
) -> Found:
    """Sort files (and folders, which end in ``/``) into parts and classes."""
    tree, others = _tree(_unwrapped(names), where, need_labels)
    used, notes = assign(tree, where)
    classes = sorted(tree["train"])
    # Beside classes it is none: what lies there has no label.
    bare = classes.pop(classes.index(UNLABELLED)) if len(classes) > 1 and UNLABELLED in classes else None
    sources = {}
    for role, part in used.items():
        if bare in tree[part] and role != "train":
            raise DataError(f"{where}: {part} has images without a label, in {part}/{bare}. Take them out.")
        strange = sorted(set(tree[part]) - {*classes, bare})
        if strange:
            raise DataError(f"{where}: {part} has a class {strange[0]!r} that train has not. Train has {classes[:20]}.")
        numbers = {label: number for number, label in enumerate(classes)} | ({bare: NO_LABEL} if bare else {})
        rows = [(name, numbers[label]) for label in numbers for name in sorted(tree[part].get(label, []))]
        targets = np.asarray([number for _, number in rows], dtype=np.int64)
        sources[role] = Source(targets, {"image": encoded([name for name, _ in rows])})
    return Found(
        classes,
        sources,
        choose_views(views, {"image": ""}, where),
        labelled=classes != [UNLABELLED],
        notes=notes | ({"ignored_files": others[:20]} if others else {}),
    )


def _unwrapped(names: Iterable[str]) -> list[tuple[tuple[str, ...], str]]:
    """The pieces of each path, without hidden files and without the single folder an archive is often packed in."""
    paths = [(PurePosixPath(name).parts, name) for name in names]
    paths = [(pieces, name) for pieces, name in paths if not any(x.startswith((".", "__MACOSX")) for x in pieces)]
    while True:
        tops = {pieces[0] for pieces, _ in paths}
        holds_images = any(len(pieces) < 3 and _suffix(name) in EXTENSIONS for pieces, name in paths)
        if len(tops) != 1 or tops.pop().lower() in PARTS or holds_images:
            return paths
        paths = [(pieces[1:], name) for pieces, name in paths if len(pieces) > 1]


def _tree(
    paths: list[tuple[tuple[str, ...], str]], where: str, need_labels: bool
) -> tuple[dict[str, dict[str, list[str]]], list[str]]:
    """Images by part (as it is called there) and class, and the files that are none."""
    tops = {pieces[0].lower() for pieces, _ in paths if len(pieces) > 1}
    split = "train" in tops or bool(tops and tops <= set(PARTS))
    images = [pieces for pieces, name in paths if _suffix(name) in EXTENSIONS]
    flat = not need_labels and all(len(pieces) == 1 + (split and pieces[0].lower() in PARTS) for pieces in images)
    tree: dict[str, dict[str, list[str]]] = {}
    others: list[str] = []
    for pieces, name in paths:
        part, inside = (pieces[0].lower(), pieces[1:]) if split else ("train", pieces)
        is_folder = name.endswith("/")
        if is_folder and inside and part in PARTS:
            tree.setdefault(part, {}).setdefault(inside[0], [])
        elif is_folder or part not in PARTS or _suffix(name) not in (*EXTENSIONS, *_OTHER_IMAGES):
            others += [] if is_folder else [name]
        elif _suffix(name) in _OTHER_IMAGES:
            raise DataError(
                f"{where}: {name} is in a format that is not read. Convert it to {' or '.join(EXTENSIONS)}."
            )
        elif flat:
            tree.setdefault(part, {}).setdefault(UNLABELLED, []).append(name)
        elif len(inside) < 2:
            raise DataError(
                f"{where}: image {name} is in no class folder. Put it into one named as its class. Only --task none "
                "does without, where no image has one."
            )
        else:
            tree.setdefault(part, {}).setdefault(inside[0], []).append(name)
    for part, classes in tree.items():
        for label in (label for label, images in classes.items() if not images):
            folder = f"{part}/{label}" if split else label
            instead = next((f"; it has {name}" for name in others if f"{folder}/" in name), "")
            raise DataError(
                f"{where}: class folder {folder} holds no image ({', '.join(EXTENSIONS)}){instead}. Fill or remove it."
            )
    if not tree:
        raise DataError(
            f"{where} has no class folders. Expected train/CLASS/IMAGE or CLASS/IMAGE, images in "
            f"{', '.join(EXTENSIONS)}; or train*.parquet."
        )
    return tree, sorted(others)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
