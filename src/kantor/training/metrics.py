"""metrics.jsonl: what training measured, the same bytes for the same run. Wall-clock time is kept apart."""

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kantor.core.errors import DataError, KantorError, NonFiniteError
from kantor.core.lines import append_line, read_lines
from kantor.training.memory import PeakMemory


class MetricsLog:
    """Appends lines to ``metrics.jsonl``; cut back to a checkpoint's length when a run resumes.

    Args:
        path: the file.
        keep: bytes that belong to the checkpoint resumed from; whatever a killed run wrote beyond is dropped.
        digest: their SHA-256.

    Raises:
        DataError: they are not there any more, or are others.
        KantorError: the file cannot be written.
    """

    def __init__(self, path: Path, keep: int = 0, digest: str = "") -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            before = path.read_bytes()[:keep] if keep and path.exists() else b""
            self._digest = hashlib.sha256(before)
            if keep and self._digest.hexdigest() != digest:
                raise DataError(
                    f"{path} is not what its checkpoint goes with: of its first {keep} bytes {len(before)} are there, "
                    f"or some are others. Bring it back from a copy, or delete {path.parent} to train this seed from "
                    "its start."
                )
            self._file = open(path, "ab")  # noqa: SIM115
            self._file.truncate(keep)
        except OSError as error:
            raise KantorError(f"Could not write {path}: {error.strerror}.") from error
        self._path = path

    @property
    def digest(self) -> str:
        """SHA-256 of all that was written."""
        return self._digest.hexdigest()

    def write(self, line: dict[str, Any]) -> None:
        """Append one line.

        Raises:
            NonFiniteError: a number in it is NaN or infinite, for which JSON has no word.
        """
        try:
            content = json.dumps(line, allow_nan=False).encode() + b"\n"
        except ValueError:
            bad = [name for name, value in line.items() if isinstance(value, float) and not math.isfinite(value)]
            raise NonFiniteError(
                f"At step {line.get('step')} {', '.join(bad)} is not finite. Lower lr or a term's weight, or set clip."
            ) from None
        self._digest.update(content)
        self._try(lambda: self._file.write(content))

    def synced_bytes(self) -> int:
        """Put everything on disk and say how long the file is."""
        self._try(self._file.flush)
        self._try(lambda: os.fsync(self._file.fileno()))
        return self._path.stat().st_size

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._try(self._file.close)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            raise KantorError(
                f"Could not write {self._path}: {error.strerror}. The last checkpoint is intact; free space, "
                "then `kantor resume` the run."
            ) from error


class Stopwatch:
    """Adds what was spent since the last call to ``timing.jsonl``, so that it survives an interruption.

    Args:
        path: the file.
        memory: counts the peak of memory, from now on.
    """

    def __init__(self, path: Path, memory: PeakMemory) -> None:
        self._path = path
        self._memory = memory
        self._since = time.perf_counter()

    def lap(self, step: int) -> None:
        """Record the seconds since the last lap, for work up to ``step``, and the peak of memory so far."""
        now = time.perf_counter()
        line = {"step": step, "seconds": round(now - self._since, 4), "peak_memory": self._memory.bytes()}
        append_line(self._path, line)
        self._since = now

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """For what is measured about training and is no part of it. A GPU's work must be over at both ends."""
        begin = time.perf_counter()
        yield
        self._since += time.perf_counter() - begin

    def spent(self) -> tuple[float, int]:
        """All seconds that were recorded, and the highest peak of memory, those of interrupted stretches included."""
        lines = [line for line in read_lines(self._path) if "seconds" in line]
        return sum(line["seconds"] for line in lines), max((line.get("peak_memory", 0) for line in lines), default=0)
