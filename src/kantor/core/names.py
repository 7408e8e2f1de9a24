"""Names of the user's, where they stand as folders and on a terminal."""

import hashlib
import re

from kantor.core.errors import ConfigError

_LONGEST = 200
"""Bytes of a folder's name: file systems take 255."""
_OF_THE_RUN = ("tuning", "analysis", "starts", "vocabulary")
_FILES = (".json", ".jsonl", ".yaml", ".html", ".npz", ".partial")
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_].*?(?:\x1b\\|$)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b.?", re.S
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def folder_name(name: str) -> str:
    """A name as that of a folder: colons and slashes are awkward in paths, and what is too long ends in its digest."""
    short = name.replace(":", "=").replace("/", "_")
    if len(short.encode(errors="replace")) <= _LONGEST:
        return short
    digest = hashlib.sha256(short.encode(errors="replace")).hexdigest()[:12]
    return short.encode()[: _LONGEST - 13].decode(errors="ignore") + f"-{digest}"


def check_name(name: str, what: str) -> None:
    """Refuse a name that cannot be a folder of its own in a run's, or a line on a screen.

    Raises:
        ConfigError: it is empty, a dot, a file or folder that a run has, or holds what cannot be printed.
    """
    if not name.strip():
        raise ConfigError(f"{what} has an empty name.")
    folder = folder_name(name)
    why = None
    if not name.isprintable():
        why = "holds characters that cannot be printed"
    elif folder.startswith("."):
        why = "begins with a dot"
    elif folder.lower() in _OF_THE_RUN or folder.lower().endswith(_FILES):
        why = "is that of a file or folder that a run has"
    if why is not None:
        raise ConfigError(
            f"{what} is called {printable(name)!r}. Its folder has that name, which {why}: call it otherwise."
        )


def printable(text: str) -> str:
    """The text without what a terminal would obey: escape sequences, control characters but tabs and new lines, and
    marks that turn the direction of writing. Bytes of names that are no characters become ``?``."""
    return _CONTROLS.sub(lambda found: "?" if found[0] >= "\ud800" else "", _ESCAPES.sub("", text))
