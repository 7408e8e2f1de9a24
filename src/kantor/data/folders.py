"""Class folders, on disk or inside a zip: ``train/CAT/1.jpg``, or ``CAT/1.jpg`` alone."""

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import DataError
from kantor.core.numbers import size
from kantor.data.class_names import checked_names, in_order, spelling
from kantor.data.labels import NO_LABEL, UNLABELLED
from kantor.data.layout import Layout, arranged, is_image, shown
from kantor.data.roles import assign
from kantor.data.source import Encoded, Found, Source
from kantor.data.views import choose_views

# No photograph is larger. A zip of a few kilobytes can hold an entry that fills the memory.
_LARGEST_ENTRY = 2**30


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
        return shown(str(self.root / self.names[row]))

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
        return shown(f"{self.path}:{self.names[row]}")

    def take(self, rows: Int64[np.ndarray, " n"]) -> "Entries":
        """Those at ``rows``."""
        return Entries(self.archive, self.path, [self.names[row] for row in rows.tolist()])


def read_folder(root: Path, views: Mapping[str, str] | None, need_labels: bool) -> Found:
    """Class folders under ``root``; images without class folders where no labels are needed.

    Raises:
        DataError: no class folders, an empty one, images outside them, a format that is not read, a folder that links
            to one it lies in or cannot be read, or an image that is no plain file.
    """
    names: list[str] = []
    _list(root, "", (root.resolve(),), names)
    return _found(arranged(names, str(root), need_labels), str(root), lambda files: Files(root, files), views)


def _list(folder: Path, below: str, above: tuple[Path, ...], names: list[str]) -> None:
    """All names under ``folder`` but hidden ones, relative to the top; folders end in ``/``, links are followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}. Mend its rights, or remove it.") from None
    for entry in entries:
        name = f"{below}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            names.append(f"{name}/")
            real = Path(entry.path).resolve() if entry.is_symlink() else above[-1] / entry.name
            if real in above:
                raise DataError(f"{entry.path} links to {real}, a folder that it lies in. Remove the link.")
            _list(Path(entry.path), f"{name}/", (*above, real), names)
        elif is_image(name) and not entry.is_file() and not entry.is_symlink():
            raise DataError(f"{entry.path} is no plain file (a pipe or a device). Remove it.")
        else:
            names.append(name)


def read_zip(path: Path, views: Mapping[str, str] | None, need_labels: bool) -> Found:
    """The same inside the zip at ``path``.

    Raises:
        DataError: it is no zip, is encrypted, holds two entries of one name or an image of gigabytes, or as for
            ``read_folder``.
    """
    archive = opened_zip(path)
    layout = arranged(archive.namelist(), str(path), need_labels)
    return _found(layout, str(path), lambda files: Entries(archive, path, files), views)


def opened_zip(path: Path) -> zipfile.ZipFile:
    """A zip of images, looked through. Where Windows wrote its names with backslashes, they have slashes.

    Raises:
        DataError: it is no zip, is encrypted, or holds two entries of one name or an image of gigabytes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory can make it raise anything
        raise DataError(f"{path} cannot be read as a zip: {error}. Fetch it again, or unpack it.") from error
    seen: set[str] = set()
    for info in archive.infolist():
        if "\\" in info.filename and "/" not in info.filename:
            info.filename = info.filename.replace("\\", "/")
            archive.NameToInfo.setdefault(info.filename, info)
        if info.flag_bits & 1:
            raise DataError(f"{path}:{info.filename} is encrypted. Unpack the zip and give the folder.")
        if info.filename in seen:
            raise DataError(f"{path} has two entries {info.filename}. Unpack the zip, and give the folder.")
        if is_image(info.filename) and info.file_size > _LARGEST_ENTRY:
            raise DataError(f"{path}:{info.filename} takes {size(info.file_size)}. Remove it from the zip.")
        seen.add(info.filename)
    return archive


def _found(
    layout: Layout, where: str, encoded: Callable[[list[str]], Encoded], views: Mapping[str, str] | None
) -> Found:
    """Parts whose classes are numbered alike."""
    tree = layout.parts
    used, notes = assign(tree, where)
    for part in used.values():
        checked_names(list(tree[part]), f"{where}, {part}")
    classes = in_order(tree[used["train"]])
    # Beside classes it is none: what lies there has no label.
    bare = classes.pop(classes.index(UNLABELLED)) if len(classes) > 1 and UNLABELLED in classes else None
    number = {spelling(label): number for number, label in enumerate(classes)}
    sources = {}
    for role, part in used.items():
        if bare in tree[part] and role != "train":
            raise DataError(f"{where}: {part} has images without a label, in {part}/{bare}. Take them out.")
        strange = sorted(label for label in tree[part] if label != bare and spelling(label) not in number)
        if strange:
            raise DataError(f"{where}: {part} has a class {strange[0]!r} that train has not. Train has {classes[:20]}.")
        labels = sorted(tree[part], key=lambda label: number.get(spelling(label), len(number)))
        rows = [(name, number.get(spelling(label), NO_LABEL)) for label in labels for name in sorted(tree[part][label])]
        targets = np.asarray([number for _, number in rows], dtype=np.int64)
        sources[role] = Source(targets, {"image": encoded([name for name, _ in rows])})
    others = [shown(name) for name in layout.others[:20]]
    return Found(
        classes,
        sources,
        choose_views(views, {"image": ""}, where),
        labelled=classes != [UNLABELLED],
        notes=notes | ({"ignored_files": others} if others else {}),
    )
