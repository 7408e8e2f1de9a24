"""Files of JSON lines, of which a killed writer may leave the last one half."""

import json
from pathlib import Path
from typing import Any

from kantor.core.errors import KantorError
from kantor.core.shape import fitted


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Append one line, on a line of its own even where the last one was torn.

    Raises:
        KantorError: the disk is full, or the file cannot be written.
    """
    try:
        with open(path, "a+b") as file:
            torn = file.tell() > 0 and (file.seek(-1, 2), file.read(1))[1] != b"\n"
            file.write((b"\n" if torn else b"") + json.dumps(line, allow_nan=False).encode() + b"\n")
    except OSError as error:
        raise KantorError(
            f"Could not write {path}: {error.strerror or error}. The last checkpoints are intact. Free space or choose "
            "a folder that can be written, then `kantor resume` the run."
        ) from error


def read_lines(path: Path, shape: Any = dict[str, Any]) -> list[Any]:
    """The lines that are whole and of that shape (:func:`kantor.core.shape.fitted`); empty where there is no file.

    A torn or damaged one is left out.
    """
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(fitted(json.loads(line), shape))
        except (ValueError, RecursionError):
            continue
    return found
