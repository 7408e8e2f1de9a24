"""A finished student's files: sealed in its ``result.json``, and looked at before they are believed."""

from pathlib import Path
from typing import Any

from kantor.core.digests import file_digest
from kantor.core.errors import DataError
from kantor.core.files import write_json
from kantor.core.reading import read_json

SEALED = ("student.safetensors", "teacher.safetensors", "metrics.jsonl")
"""What is sealed, of those that are there."""


def finish(folder: Path, result: dict[str, Any]) -> None:
    """Write ``result.json``, with the digests of the student's files. It comes last: where it is, all is done."""
    files = {name: file_digest(folder / name) for name in SEALED if (folder / name).exists()}
    write_json(folder / "result.json", {**result, "files": files})


def student_of(folder: Path) -> Path:
    """The weights of the finished student in a folder.

    Raises:
        DataError: see :func:`check_files`.
    """
    check_files(folder)
    return folder / "student.safetensors"


def check_weights(spec: str) -> None:
    """:func:`check_files` of a model NAME:FILE whose file lies where it was trained."""
    path = Path(spec.rpartition(":")[2])
    if path.name in SEALED:
        check_files(path.parent)


def check_files(folder: Path) -> None:
    """Refuse a finished student whose files are not as they were when it was finished; others are not looked at.

    Raises:
        DataError: names the file, and what to do.
    """
    for name, digest in read_json(folder / "result.json").get("files", {}).items():
        path = folder / name
        problem = "is missing" if not path.exists() else "was changed or damaged" if file_digest(path) != digest else ""
        if problem:
            raise DataError(
                f"{path} {problem} since its training was finished. Bring it back from a copy; or delete {folder}, and "
                "`kantor resume` (or the same command again) trains it anew."
            )
