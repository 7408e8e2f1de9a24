"""The listing of a large folder, kept for the user: a folder as old as it was holds the files that it held."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from kantor.core.errors import KantorError
from kantor.core.files import read_npz, write_with
from kantor.core.user_cache import kept_beside
from kantor.data.listing import Folder, Listing, in_folders, scanned

FORM = 1
"""Of what is kept; what another version kept is made anew."""
WORTHWHILE = 20_000
"""Files from which on a listing is kept: fewer are listed in no time."""
_SETTLED_NS = 2 * 10**9
"""How long a folder must have been left alone, lest something was added within a tick of the file system's clock."""


def listing_of(root: Path, refused: Any) -> Listing:
    """The files below ``root``; from what is kept where every folder is as old as it was, else listed and kept.

    A file that was written over in its place leaves its folder as it was: its own size and date are compared when it
    is read.

    Args:
        root: the folder.
        refused: see :func:`kantor.data.listing.scanned`.

    Raises:
        DataError: see there.
    """
    path = kept_beside(root, "listings", ".npz")
    held = None if path is None else _held(path, root)
    if held is not None:
        return held
    begun = time.time_ns()
    listing, folders = scanned(root, refused)
    settled = all(folder.written < begun - _SETTLED_NS for folder in folders)
    if path is not None and len(listing.names) >= WORTHWHILE and settled:
        with contextlib.suppress(KantorError):  # a full disk or a home that cannot be written costs time alone
            _keep(path, root, listing, folders)
    return listing


def forget_listing(root: Path) -> None:
    """Have ``root`` listed anew the next time."""
    path = kept_beside(root, "listings", ".npz")
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _keep(path: Path, root: Path, listing: Listing, folders: list[Folder]) -> None:
    about = json.dumps({"form": FORM, "root": str(root.resolve())})
    arrays = {
        "about": _packed([about]),
        "folders": _packed([folder.name for folder in folders]),
        "written": np.asarray([folder.written for folder in folders], dtype=np.int64),
        "files": np.asarray([folder.files for folder in folders], dtype=np.int64),
        "names": _packed([name[name.rfind("/") + 1 :] for name in listing.names]),
        "sizes": listing.sizes,
        "stamps": listing.stamps,
    }
    write_with(path, lambda file: np.savez(file, **arrays))


def _held(path: Path, root: Path) -> Listing | None:
    """What is kept, where it holds still."""
    if not path.is_file():
        return None
    try:
        kept = read_npz(path, "")
        about = json.loads(_unpacked(kept["about"])[0])
        if about != {"form": FORM, "root": str(root.resolve())}:
            return None
        rows = zip(_unpacked(kept["folders"]), kept["written"].tolist(), kept["files"].tolist(), strict=True)
        folders = [Folder(*row) for row in rows]
        if any((root / folder.name).stat().st_mtime_ns != folder.written for folder in folders):
            return None
        bases = _unpacked(kept["names"])
        names, place = [], 0
        for folder in folders:
            names += [f"{folder.name}{base}" for base in bases[place : place + folder.files]]
            place += folder.files
        if not len(names) == len(bases) == len(kept["sizes"]) == len(kept["stamps"]):
            return None
        return in_folders(names, kept["sizes"], kept["stamps"], folders)
    except (KantorError, OSError, ValueError, KeyError, TypeError):  # damaged, or a folder is gone: made anew
        return None


def _packed(texts: list[str]) -> np.ndarray:
    return np.frombuffer("\0".join(texts).encode("utf-8", "surrogateescape"), dtype=np.uint8)


def _unpacked(array: np.ndarray) -> list[str]:
    return array.tobytes().decode("utf-8", "surrogateescape").split("\0")
