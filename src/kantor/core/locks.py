"""Locks on open files, which die with their holder."""

from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def lock(file: IO[Any]) -> bool:
    """Take the lock of an open file, until it is closed; whether that was possible without waiting."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
    except OSError:
        return False
    return True
