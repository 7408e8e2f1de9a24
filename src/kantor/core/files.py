"""Atomic files: a reader sees the old content or the new, never half of it, whatever dies in between."""

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kantor.core.errors import ConfigError, DataError, KantorError

_PARTIAL = ".partial"
HOLDS = {"config.yaml": "run", "ranking.json": "ranking", "compare.json": "comparison"}
"""What a folder with a report holds, by the file that says so."""


def is_file(path: Path) -> bool:
    """Whether there is such a file; of a name that no file can have there is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def refuse_file(folder: Path) -> None:
    """Refuse a file where a folder is to be.

    Raises:
        ConfigError: there is one.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise ConfigError(f"{place} is a file, and a folder is needed. Name another by --out; nothing was changed.")


def refuse_shared(folder: Path, own: str) -> None:
    """Refuse a folder that holds something of another kind: each has a ``report.html``.

    Args:
        folder: where something is to be written.
        own: the file, of :data:`HOLDS`, that says what it is.

    Raises:
        ConfigError: there is something of another kind, or a file of that name.
    """
    refuse_file(folder)
    for name, kind in HOLDS.items():
        if name != own and (folder / name).exists():
            raise ConfigError(f"{folder} holds a {kind}, whose report would be lost. Name another folder by --out.")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of ``path`` for writing; on success sync it and rename it into place.

    On any failure the neighbour is removed and what was at ``path`` stays.

    Raises:
        KantorError: the disk is full, or the folder cannot be written.
    """
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = str(path.parent / f".{path.name}.{secrets.token_hex(8)}{_PARTIAL}")
        # Not mkstemp, whose files only their owner may read: what colleagues may read is for the umask to say.
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        name = None
        _sync_folder(path.parent)
    except OSError as error:
        raise KantorError(
            f"Could not write {path}: {error.strerror or error}. What was there before is intact. "
            "Free space or choose a folder to write in, then give the command again (for a run `kantor resume`)."
        ) from error
    finally:
        if name is not None:
            with contextlib.suppress(OSError):
                Path(name).unlink()


def is_partial(path: Path) -> bool:
    """Whether a file is what a writer has not finished."""
    return path.name.startswith(".") and path.name.endswith(_PARTIAL)


def remove_partial(folder: Path, below: bool = True) -> None:
    """Remove what killed writers left unfinished in ``folder``, and anywhere below it. Nobody may be writing there."""
    for path in folder.rglob("*") if below else folder.iterdir():
        if is_partial(path):
            path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with atomic(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` atomically, as UTF-8; what is no character, as a name's odd byte, is ``?``."""
    write_bytes(path, content.encode(errors="replace"))


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` to ``path`` atomically, as indented JSON. Not-a-number is refused, since JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_with(path: Path, save: Callable[[BinaryIO], Any]) -> None:
    """Let ``save`` write to a binary file that becomes ``path`` atomically (``torch.save``, ``np.savez``)."""
    with atomic(path) as file:
        save(file)


def _sync_folder(folder: Path) -> None:
    # The rename itself is only durable once the folder is; not every file system lets a folder be opened.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_npz(path: Path, remedy: str) -> dict[str, NDArray]:
    """The arrays of an npz. Nothing in it is executed.

    Args:
        path: of the file.
        remedy: what to do where it is damaged, a sentence.

    Raises:
        DataError: it cannot be read, holds one array without a name (npy), or pickled objects.
    """
    begin = b""
    try:
        # Opened here, since numpy leaves the file open when it turns out to be no zip.
        with path.open("rb") as raw:
            begin = raw.read(1)
            raw.seek(0)
            arrays = np.load(raw, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise DataError(f"{path} holds a single array, as an npy does. Save it by its name, with np.savez.")
            with arrays:
                # An entry that is no array is given as its bytes.
                found = {name: arrays[name] for name in arrays.files}
    except DataError:
        raise
    except Exception as error:  # a damaged archive can make its readers raise anything
        # numpy takes whatever is neither npz nor npy for pickled objects.
        if "pickle" in str(error) and begin in (b"P", b"\x93", b"\x80"):
            raise DataError(
                f"{path} cannot be read: it holds pickled objects, which could run code. Save plain arrays of numbers "
                "or text."
            ) from None
        why = "it is of another kind" if "pickle" in str(error) else error
        raise DataError(f"{path} cannot be read as an npz: {why}. {remedy}") from None
    strange = next((name for name, array in found.items() if not isinstance(array, np.ndarray)), None)
    if strange is not None:
        raise DataError(f"{path} cannot be read as an npz: {strange} in it is no array. {remedy}")
    return found
