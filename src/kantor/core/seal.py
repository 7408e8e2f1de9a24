"""A finished student's files: sealed in its ``result.json``, and looked at before they are believed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from kantor.core.digests import file_digest
from kantor.core.errors import DataError
from kantor.core.sealed_json import read_sealed_json, write_sealed_json

SEALED = ("student.safetensors", "teacher.safetensors", "metrics.jsonl")
"""What is sealed, of those that are there."""


class _Sealed(TypedDict):
    """``result.json``, as far as it seals."""

    files: NotRequired[dict[str, str]]


def finish(folder: Path, result: dict[str, Any]) -> None:
    """Write ``result.json``, with its own digest and those of the student's files. It comes last: where it is, all is
    done."""
    files = {name: file_digest(folder / name) for name in SEALED if (folder / name).exists()}
    write_sealed_json(folder / "result.json", {**result, "files": files})


def student_of(folder: Path) -> Path:
    """The weights of the finished student in a folder.

    Raises:
        DataError: see :func:`check_files`.
    """
    check_files(folder)
    return folder / "student.safetensors"


def check_sealed(weights: Path) -> None:
    """:func:`check_files` of a file of weights alone, where it lies in the folder that it was trained in."""
    if weights.name in SEALED:
        check_files(weights.parent, [weights.name])


def check_files(folder: Path, names: Sequence[str] = SEALED) -> None:
    """Refuse a finished student whose files are not as they were when it was finished; others are not looked at.

    Args:
        folder: the student's.
        names: of the files that are wanted.

    Raises:
        DataError: names the file, and what to do.
    """
    for name, digest in read_sealed_json(folder / "result.json", _Sealed).get("files", {}).items():
        path = folder / name
        if name not in names:
            continue
        problem = "is missing" if not path.exists() else "was changed or damaged" if file_digest(path) != digest else ""
        if problem:
            raise DataError(
                f"{path} {problem} since its training was finished. Bring it back from a copy; or delete {folder}, and "
                "`kantor resume` (or the same command again) trains it anew."
            )
