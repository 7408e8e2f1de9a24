"""Which code a name may import: what the user wrote, and of what a file says only what they gave leave for.

A name such as ``my.nets:make``, of a model, a loss, a task, a score or a reader, is code. Typed on the command line, or
written in a program, it is the user's own. Found in a file it is not: whoever can write the file could have anything
run. It is imported only where the user wrote the same name in this process, trusts the folder (``--trust``), or made
that folder here with this very name. The last is kept in a folder of the user's, since what a folder may do cannot
stand in the folder itself.

Code is written as :func:`code` does it. Numbers among a name's options (``@depth=3``) choose no code; text
(``@command=...``) may, and belongs to it.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kantor.core.errors import ConfigError, KantorError
from kantor.core.files import write_json
from kantor.core.objects import is_object
from kantor.core.reading import read_json

_allowed: set[str] = set()
_found_in: dict[str, Path] = {}
_trusted: list[Path] = []


def code(path: str, options: Mapping[str, Any] | None = None) -> str:
    """What decides which code a name runs: its path, and those of its options that are no numbers.

    Args:
        path: ``package.module:Thing``.
        options: what it is called with.
    """
    text = {key: value for key, value in (options or {}).items() if not isinstance(value, bool | int | float)}
    return path + "".join(f"@{key}={value}" for key, value in sorted(text.items()))


def wrote(codes: Iterable[str]) -> None:
    """The user wrote the names of this code: it may be imported in this process."""
    _allowed.update(codes)


def trust(path: Path) -> None:
    """The user trusts a file, or all files in a folder, until this process ends.

    Raises:
        ConfigError: there is nothing there.
    """
    if not path.exists():
        raise ConfigError(f"--trust {path}: there is no such file or folder.")
    _trusted.append(path.resolve())


def found(codes: Iterable[str], file: Path) -> None:
    """This code is named in a file: what that may name is allowed, the rest kept for :func:`check`'s message.

    Args:
        codes: see :func:`code`.
        file: where they were read.
    """
    for one in codes:
        if _trusts(file) or one in _made_with(file):
            _allowed.add(one)
        else:
            _found_in.setdefault(one, file)


def check(*codes: str) -> None:
    """Refuse to import what nobody gave leave for. An object that a program handed over is not imported.

    Raises:
        ConfigError: names the code, the file that asked for it, and how to trust it.
    """
    for one in sorted(one for one in set(codes) - _allowed if not is_object(one)):
        file = _found_in.get(one)
        if file is None:
            raise ConfigError(f"{one} is code that you did not write on this command line, so it is not imported.")
        raise ConfigError(
            f"{file} names code to be imported, {one}, and a file does not decide which code runs. This folder was not "
            f"made with it here by you. If you know what it does, --trust {file.parent} allows it."
        )


def keep(folder: Path, codes: Iterable[str]) -> None:
    """A folder is made here with this code: it is remembered, so that it may be imported again.

    Nothing is written where there is none, or where nothing can be written: then ``--trust`` must say it again.
    """
    made_with = set(codes) & _allowed
    path = _record(folder)
    if path is not None and not made_with <= (known := _kept(path, folder)):
        with contextlib.suppress(KantorError):
            write_json(path, {"folder": str(folder.resolve()), "code": sorted(known | made_with)})


def allowed() -> list[str]:
    """All code that this process may import, for a worker that it starts (:func:`allow`)."""
    return sorted(_allowed)


def allow(codes: Iterable[str]) -> None:
    """What the process that started this one may import, as its :func:`allowed` said."""
    _allowed.update(codes)


def forget() -> None:
    """Forget what was written, found and trusted in this process."""
    for known in (_allowed, _found_in, _trusted):
        known.clear()


def _trusts(file: Path) -> bool:
    path = file.resolve()
    return any(path.is_relative_to(trusted) for trusted in _trusted)


def _made_with(file: Path) -> set[str]:
    """What was kept of the folders that a file lies in."""
    records = ((_record(folder), folder) for folder in file.resolve().parents)
    return set().union(*(_kept(path, folder) for path, folder in records if path is not None))


def _record(folder: Path) -> Path | None:
    """Where it is kept what a folder was made with; None where the user has no home."""
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        return None
    return state / "kantor" / "code" / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]}.json"


def _kept(path: Path, folder: Path) -> set[str]:
    with contextlib.suppress(KantorError):  # a damaged record allows nothing
        known = read_json(path)
        if known.get("folder") == str(folder.resolve()):
            return set(known["code"])
    return set()
