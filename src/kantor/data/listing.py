"""The files below a folder or in an archive, by the folders they lie in: listed, and not opened."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import DataError

UNKNOWN = -1
"""In the place of a size or date: of a link that leads nowhere."""


@dataclass(frozen=True, eq=False)
class Listing:
    """Files by position. Those of one folder need not be neighbours."""

    names: list[str]
    """Of files, below the top; in an archive also of folders, which end in a slash."""
    sizes: Int64[np.ndarray, " files"] | None
    """In bytes; None of an archive, whose index is read as fast."""
    stamps: Int64[np.ndarray, " files"] | None
    """When each was last written (ns)."""
    folders: dict[str, list[int]]
    """Which files lie in each folder, by its name with a slash behind; ``""`` is the top."""
    listed: frozenset[str]
    """Folders that are there by themselves, and not only in the names of files."""


@dataclass(frozen=True)
class Folder:
    """One folder as it was found."""

    name: str
    """Below the top, with a slash behind."""
    written: int
    """When something was last added to or taken from it (ns)."""
    files: int
    """How many files lie in it."""


def scanned(root: Path, refused: Callable[[str], bool]) -> tuple[Listing, list[Folder]]:
    """All files below ``root`` but hidden ones. Links are followed; no file is asked for its size more than once.

    Args:
        root: the folder.
        refused: of a file's name, whether it must be a plain file.

    Raises:
        DataError: a folder links to one it lies in or cannot be read, or a file is none that can be.
    """
    names: list[str] = []
    facts: list[tuple[int, int]] = []
    found: list[Folder] = []

    def look(path: str, name: str, above: tuple[str, ...]) -> None:
        try:
            # Asked first: what is written from here on makes the folder younger.
            written = Path(path).stat().st_mtime_ns
            with os.scandir(path) as inside:
                entries = sorted((entry for entry in inside if not entry.name.startswith(".")), key=_name)
        except OSError as error:
            raise DataError(
                f"{path} cannot be read: {error.strerror or error}. Mend its rights, or remove it."
            ) from None
        below: list[os.DirEntry[str]] = []
        before = len(names)
        for entry in entries:
            if entry.is_dir():
                below.append(entry)
                continue
            if not entry.is_file() and not entry.is_symlink() and refused(entry.name):
                raise DataError(f"{entry.path} is no plain file (a pipe or a device). Remove it.")
            names.append(f"{name}{entry.name}")
            facts.append(_facts(entry))
        found.append(Folder(name, written, len(names) - before))
        for entry in below:
            real = os.path.realpath(entry.path) if entry.is_symlink() else f"{above[-1]}{os.sep}{entry.name}"
            if real in above:
                raise DataError(f"{entry.path} links to {real}, a folder that it lies in. Remove the link.")
            look(entry.path, f"{name}{entry.name}/", (*above, real))

    look(str(root), "", (os.path.realpath(root),))
    sizes, stamps = np.asarray(facts, dtype=np.int64).reshape(-1, 2).T.copy()
    return in_folders(names, sizes, stamps, found), found


def in_folders(
    names: list[str], sizes: Int64[np.ndarray, " files"], stamps: Int64[np.ndarray, " files"], found: Iterable[Folder]
) -> Listing:
    """A listing of files that come folder by folder."""
    folders: dict[str, list[int]] = {}
    end = 0
    for folder in found:
        folders[folder.name] = list(range(end, end + folder.files))
        end += folder.files
    return Listing(names, sizes, stamps, folders, frozenset(folders))


def of_archive(names: list[str]) -> Listing:
    """What an archive's index says: names as they stand there, those of folders with a slash behind."""
    folders: dict[str, list[int]] = {}
    listed: set[str] = set()
    for place, name in enumerate(names):
        folder = name[: name.rfind("/") + 1]
        inside = folders.setdefault(folder, [])
        if folder == name:
            listed.add(name)
        else:
            inside.append(place)
    return Listing(names, None, None, folders, frozenset(listed))


def _name(entry: "os.DirEntry[str]") -> str:
    return entry.name


def _facts(entry: "os.DirEntry[str]") -> tuple[int, int]:
    try:
        known = entry.stat()
    except OSError:  # a link that leads nowhere is a damaged image
        return UNKNOWN, UNKNOWN
    return known.st_size, known.st_mtime_ns
