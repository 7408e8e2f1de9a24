"""Folders that are there whole or not at all, whoever dies or writes beside us."""

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, Timeout

from kantor.core.errors import KantorError
from kantor.core.locks import LOCK, acquired

_PREFIX = ".filling-"


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A temporary neighbour to fill; on success it becomes ``target``, in one rename.

    Another process may do the same at the same time: each fills its own neighbour, the first to finish is replaced by
    the last, and whoever has the first's files open keeps them. On failure the neighbour is removed; one that a killed
    process left behind is removed by the next to come.

    Raises:
        KantorError: the disk is full, or the folder cannot be written.
    """
    filling = target.parent / f"{_PREFIX}{secrets.token_hex(8)}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with acquired(target.parent / LOCK):
            _clean(target.parent)
            ours = acquired(filling.with_suffix(".lock"))
        try:
            filling.mkdir()
            yield filling
            with acquired(target.parent / LOCK):
                if target.exists():
                    target.rename(filling.with_suffix(".old"))
                filling.rename(target)
        finally:
            _remove(filling, ours)
    except OSError as error:
        raise KantorError(
            f"Could not write {target}: {error.strerror or error}. Nothing that was there before is lost. Free space, "
            "or choose a folder that can be written."
        ) from error


def _clean(folder: Path) -> None:
    """Remove what dead processes left: the lock of a living one is held."""
    for path in folder.glob(f"{_PREFIX}*.lock"):
        with contextlib.suppress(Timeout):
            _remove(path.with_suffix(""), acquired(path, patience=0))


def _remove(filling: Path, held: BaseFileLock) -> None:
    """Remove a neighbour, and the lock on it."""
    for leftover in (filling, filling.with_suffix(".old")):
        shutil.rmtree(leftover, ignore_errors=True)
    held.release()
    filling.with_suffix(".lock").unlink(missing_ok=True)
