"""Folders that one process works in at a time. A lock dies with its holder, and says who that is."""

import contextlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from kantor.core.errors import ConfigError, KantorError
from kantor.core.reading import read_json

LOCK = ".lock"
"""The file in a folder that is locked; while it is, it says by whom."""


@contextlib.contextmanager
def locked(folder: Path, patience: float = 20.0) -> Iterator[None]:
    """Hold ``folder`` against a second process; the lock dies with its holder.

    Args:
        folder: made if it is not there.
        patience: seconds to wait for the worker of a killed study to notice and end.

    Raises:
        ConfigError: another process holds it; says which, and what to do.
        KantorError: the folder cannot be written.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=patience, poll_interval=0.1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ConfigError(f"Another process is working in {folder}{_holder(path)}. Wait for it, or stop it.") from None
    except OSError as error:
        raise KantorError(
            f"Could not write in {folder}: {error.strerror}. Make it writable, or begin a run elsewhere by --out."
        ) from error
    try:
        _sign(lock, {"process": os.getpid(), "machine": platform.node(), "command": _command(), "since": _now()})
        yield
    finally:
        _sign(lock, None)
        lock.release()


def _sign(lock: FileLock, holder: dict[str, str | int] | None) -> None:
    """Say in the file who holds it: a kindness to others, and never a reason to fail."""
    if isinstance(lock, SoftFileLock):  # where a file system has no locks, what the file says is the lock
        return
    with contextlib.suppress(OSError):
        Path(lock.lock_file).write_text("" if holder is None else json.dumps(holder) + "\n", encoding="utf-8")


def _holder(path: Path) -> str:
    """Who holds it, for people; empty where the file does not say."""
    with contextlib.suppress(KantorError, KeyError, OSError):
        found = read_json(path, dict[str, str | int])
        return f": process {found['process']} on {found['machine']}, `{found['command']}`, since {found['since']}"
    return ""


def _command() -> str:
    return shlex.join(["kantor", *sys.argv[1:]])


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
