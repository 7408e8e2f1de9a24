"""metrics.jsonl: what training measured, the same bytes for the same run. Wall-clock time is kept apart."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kantor.core.errors import KantorError


class MetricsLog:
    """Appends lines to ``metrics.jsonl``; cut back to a checkpoint's length when a run resumes.

    Args:
        path: the file.
        keep: bytes that belong to the checkpoint resumed from; whatever a killed run wrote beyond is dropped.
    """

    def __init__(self, path: Path, keep: int) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "ab")  # noqa: SIM115
            self._file.truncate(keep)
        except OSError as error:
            raise KantorError(f"Could not write {path}: {error.strerror}.") from error
        self._path = path

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        self._try(lambda: self._file.write(json.dumps(line).encode() + b"\n"))

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
    """Adds what was spent since the last call to ``timing.jsonl``, so that seconds survive an interruption."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._since = time.perf_counter()

    def lap(self, step: int) -> None:
        """Record the seconds since the last lap, for work up to ``step``."""
        now = time.perf_counter()
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, "seconds": round(now - self._since, 4)}) + "\n")
        except OSError as error:
            raise KantorError(f"Could not write {self._path}: {error.strerror}.") from error
        self._since = now

    @staticmethod
    def total(path: Path) -> float:
        """All seconds recorded in a timing file, those of interrupted stretches included."""
        if not path.exists():
            return 0.0
        lines = path.read_text(encoding="utf-8").splitlines()
        return sum(json.loads(line)["seconds"] for line in lines if line.endswith("}"))
