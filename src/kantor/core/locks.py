"""Folders that one process works in at a time. A lock dies with its holder, and says who that is."""

import contextlib
import errno
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from kantor.core.errors import ConfigError, KantorError
from kantor.core.reading import read_json

LOCK = ".lock"
"""The file in a folder that is locked; while it is, it says by whom."""
_REFUSED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
"""What a file system says that has no locks."""


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = acquired(path, patience)
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


def acquired(path: Path, patience: float = -1.0) -> BaseFileLock:
    """The lock on a file, held. Where the file system refuses locks, as a network's may, the lock is another file
    beside it, which is there while it is held.

    Args:
        path: the file.
        patience: seconds to wait; negative waits for ever.

    Raises:
        Timeout: another process holds it.
        OSError: the file cannot be written.
    """
    lock: BaseFileLock = FileLock(path, timeout=patience, poll_interval=0.1)
    try:
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        lock = SoftFileLock(soft(path), timeout=patience, poll_interval=0.1)
        lock.acquire()
    return lock


def soft(path: Path) -> Path:
    """The file that stands for a lock where there are none."""
    return path.with_name(f"{path.name}-held")


def _sign(lock: BaseFileLock, holder: dict[str, str | int] | None) -> None:
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
