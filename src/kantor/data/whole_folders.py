"""Folders that are there whole or not at all, whoever dies or writes beside us."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from kantor.core.errors import KantorError

try:
    import fcntl
except ImportError:  # Windows has no flock: there abandoned folders stay until someone removes them
    fcntl = None

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
    lock = filling.with_suffix(".lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent / ".lock"):
            _clean(target.parent)
            held = _hold(lock)
        try:
            filling.mkdir()
            yield filling
            with _locked(target.parent / ".lock"):
                if target.exists():
                    target.rename(filling.with_suffix(".old"))
                filling.rename(target)
        finally:
            for leftover in (filling, filling.with_suffix(".old")):
                shutil.rmtree(leftover, ignore_errors=True)
            os.close(held)
            lock.unlink(missing_ok=True)
    except OSError as error:
        raise KantorError(
            f"Could not write {target}: {error.strerror or error}. Nothing that was there before is lost. Free space, "
            "or choose a folder that can be written."
        ) from error


def _clean(folder: Path) -> None:
    """Remove what dead processes left. A lock is released by the system when its process ends, however it ends."""
    if fcntl is None:
        return
    for lock in folder.glob(f"{_PREFIX}*.lock"):
        try:
            held = os.open(lock, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            for leftover in (lock.with_suffix(""), lock.with_suffix(".old")):
                shutil.rmtree(leftover, ignore_errors=True)
            lock.unlink(missing_ok=True)
        finally:
            os.close(held)


def _hold(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = _hold(path)
    try:
        yield
    finally:
        os.close(handle)
