"""Which code a model's name may import: what the user wrote, and of what a file says only what they gave leave for.

A name such as ``my.nets:make`` is code. Typed on the command line, or written in a program, it is the user's own. Found
in a file it is not: whoever can write the file could have anything run. It is imported only where the user wrote the
same name in this process, trusts the folder (``--trust``), or made that folder here with this very name. The last is
kept in a folder of the user's, since what a folder may do cannot stand in the folder itself.

Numbers among a name's options (``@depth=3``) choose no code; text (``@command=...``) may, and belongs to the name.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from kantor.core.errors import ConfigError, KantorError
from kantor.core.files import write_json
from kantor.core.reading import read_json
from kantor.models.options import convert
from kantor.models.spec import Spec, parse

_allowed: set[str] = set()
_found_in: dict[str, Path] = {}
_trusted: list[Path] = []


def wrote(names: Iterable[str]) -> None:
    """The user wrote these models' names: what they name may be imported in this process."""
    _allowed.update(_codes(names))


def trust(path: Path) -> None:
    """The user trusts a file, or all files in a folder, until this process ends.

    Raises:
        ConfigError: there is nothing there.
    """
    if not path.exists():
        raise ConfigError(f"--trust {path}: there is no such file or folder.")
    _trusted.append(path.resolve())


def found(names: Iterable[str], file: Path) -> None:
    """These models' names stand in a file: those it may name are allowed, the others kept for :func:`check`'s message.

    Args:
        names: as :func:`kantor.load` takes them; what names no code is left alone.
        file: where they were read.
    """
    for code in _codes(names):
        if _trusts(file) or code in _made_with(file):
            _allowed.add(code)
        else:
            _found_in.setdefault(code, file)


def check(spec: Spec) -> None:
    """Refuse to import what nobody gave leave for.

    Raises:
        ConfigError: names the code, the file that asked for it, and how to trust it.
    """
    code = _code(spec)
    if code is not None:
        _check(code)


def check_all(names: Iterable[str]) -> None:
    """:func:`check` for models' names.

    Raises:
        ConfigError: see there.
    """
    for code in sorted(_codes(names)):
        _check(code)


def _check(code: str) -> None:
    if code in _allowed:
        return
    file = _found_in.get(code)
    if file is None:
        raise ConfigError(f"{code} is code that you did not write on this command line, so it is not imported.")
    raise ConfigError(
        f"{file} names code to be imported, {code}, and a file does not decide which code runs. This folder was not "
        f"made with it here by you. If you know what it does, allow it: --trust {file.parent}."
    )


def keep(folder: Path, names: Iterable[str]) -> None:
    """A folder is made here with these models: what they name is remembered, so that it may be imported again.

    Nothing is written where they name no code, or where nothing can be written: then ``--trust`` must say it again.
    """
    codes = _codes(names) & _allowed
    path = _record(folder)
    if path is not None and not codes <= (known := _kept(path, folder)):
        with contextlib.suppress(KantorError):
            write_json(path, {"folder": str(folder.resolve()), "code": sorted(known | codes)})


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


def _codes(names: Iterable[str]) -> set[str]:
    codes = set()
    for name in names:
        with contextlib.suppress(ConfigError):  # what is no name is refused where it is used
            codes.add(_code(parse(name)))
    return codes - {None}  # type: ignore[return-value]


def _code(spec: Spec) -> str | None:
    """What decides which code a model's name runs; None where kantor itself or a known package makes the network."""
    if spec.family != "python":
        return None
    given = {key: text for key, text in spec.options.items() if key not in ("normalise", "size")}
    return spec.name + "".join(f"@{key}={text}" for key, text in sorted(given.items()) if _chooses(text, key))


def _chooses(text: str, key: str) -> bool:
    return not isinstance(convert(text, None, key), bool | int | float)


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
