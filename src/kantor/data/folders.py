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
from kantor.data.kept_listing import forget_listing, listing_of
from kantor.data.labels import NO_LABEL, UNLABELLED
from kantor.data.layout import Layout, arranged, is_image, shown
from kantor.data.listing import UNKNOWN, Listing, of_archive
from kantor.data.roles import assign
from kantor.data.source import Encoded, Found, Identities, Source
from kantor.data.views import choose_views

# No photograph is larger. A zip of a few kilobytes can hold an entry that fills the memory.
_LARGEST_ENTRY = 2**30


class Files:
    """Images that are files under ``root``.

    Args:
        root: the folder.
        names: of the files, below it.
        sizes, stamps: of each in bytes, and when it was last written (ns), as they were when the data was listed; asked
            for when they are needed where they are not given.
    """

    def __init__(
        self,
        root: Path,
        names: list[str],
        sizes: Int64[np.ndarray, " n"] | None = None,
        stamps: Int64[np.ndarray, " n"] | None = None,
    ):
        self.root, self.names = root, names
        self._sizes, self._stamps = sizes, stamps
        self._top = f"{root}{os.sep}"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def place(self) -> Path:
        """Where they lie."""
        return self.root

    def read(self, row: int) -> bytes:
        """The file's bytes.

        Raises:
            DataError: it has another size than when the data was listed.
        """
        content = (self.root / self.names[row]).read_bytes()
        if self._sizes is not None and len(content) != self._sizes[row] != UNKNOWN:
            forget_listing(self.root)
            raise DataError(
                f"{self.describe(row)} had {self._sizes[row]:,} bytes when the data was listed, and has "
                f"{len(content):,} now. Give the command again: the data is listed anew."
            )
        return content

    def describe(self, row: int) -> str:
        """Its path."""
        return shown(str(self.root / self.names[row]))

    def take(self, rows: Int64[np.ndarray, " n"]) -> "Files":
        """Those at ``rows``."""
        sizes, stamps = (None if known is None else known[rows] for known in (self._sizes, self._stamps))
        return Files(self.root, [self.names[row] for row in rows.tolist()], sizes, stamps)

    def identities(self) -> Identities:
        """The files' names, sizes and dates."""
        if self._sizes is None or self._stamps is None:
            facts = [_facts(f"{self._top}{name}") for name in self.names]
            self._sizes, self._stamps = np.asarray(facts, dtype=np.int64).reshape(-1, 2).T.copy()
        return Identities(self.names, self._sizes, self._stamps)


class Entries:
    """Images inside a zip, read in place."""

    def __init__(self, archive: zipfile.ZipFile, path: Path, names: list[str]):
        self.archive, self.path, self.names = archive, path, names

    def __len__(self) -> int:
        return len(self.names)

    @property
    def place(self) -> Path:
        """The zip."""
        return self.path

    def read(self, row: int) -> bytes:
        """The entry's bytes, whose checksum has been verified."""
        return self.archive.read(self.names[row])

    def describe(self, row: int) -> str:
        """The zip and the entry in it."""
        return shown(f"{self.path}:{self.names[row]}")

    def take(self, rows: Int64[np.ndarray, " n"]) -> "Entries":
        """Those at ``rows``."""
        return Entries(self.archive, self.path, [self.names[row] for row in rows.tolist()])

    def identities(self) -> Identities:
        """The entries' names, sizes and checksums, from the zip's index."""
        known = [self.archive.NameToInfo[name] for name in self.names]
        facts = np.asarray([(info.file_size, info.CRC) for info in known], dtype=np.int64).reshape(-1, 2).T.copy()
        return Identities(self.names, facts[0], facts[1])


def read_folder(root: Path, views: Mapping[str, str] | None, need_labels: bool) -> Found:
    """Class folders under ``root``; images without class folders where no labels are needed.

    Raises:
        DataError: no class folders, an empty one, images outside them, a format that is not read, a folder that links
            to one it lies in or cannot be read, or an image that is no plain file.
    """
    listing = listing_of(root, is_image)

    def files(places: Int64[np.ndarray, " n"]) -> Files:
        names = [listing.names[k] for k in places.tolist()]
        sizes, stamps = (None if known is None else known[places] for known in (listing.sizes, listing.stamps))
        return Files(root, names, sizes, stamps)

    return _found(listing, arranged(listing, str(root), need_labels), str(root), files, views)


def read_zip(path: Path, views: Mapping[str, str] | None, need_labels: bool) -> Found:
    """The same inside the zip at ``path``.

    Raises:
        DataError: it is no zip, is encrypted, holds two entries of one name or an image of gigabytes, or as for
            ``read_folder``.
    """
    archive = opened_zip(path)
    listing = of_archive(archive.namelist())

    def entries(places: Int64[np.ndarray, " n"]) -> Entries:
        return Entries(archive, path, [listing.names[k] for k in places.tolist()])

    return _found(listing, arranged(listing, str(path), need_labels), str(path), entries, views)


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
    listing: Listing,
    layout: Layout,
    where: str,
    encoded: Callable[[Int64[np.ndarray, " n"]], Encoded],
    views: Mapping[str, str] | None,
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
        numbers = [number.get(spelling(label), NO_LABEL) for label in labels]
        counts = [len(tree[part][label]) for label in labels]
        places = [k for label in labels for k in sorted(tree[part][label], key=listing.names.__getitem__)]
        targets = np.repeat(np.asarray(numbers, dtype=np.int64), counts)
        sources[role] = Source(targets, {"image": encoded(np.asarray(places, dtype=np.int64))})
    others = [shown(name) for name in layout.others[:20]]
    return Found(
        classes,
        sources,
        choose_views(views, {"image": ""}, where),
        labelled=classes != [UNLABELLED],
        notes=notes | ({"ignored_files": others} if others else {}),
    )


def _facts(path: str) -> tuple[int, int]:
    try:
        known = Path(path).stat()
    except OSError:  # a damaged image
        return UNKNOWN, UNKNOWN
    return known.st_size, known.st_mtime_ns
