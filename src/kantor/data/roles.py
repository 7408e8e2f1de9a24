"""What parts are called on disk, and what kantor uses each for."""

import re
from collections.abc import Iterable

from kantor.core.errors import DataError

PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""Part by its plain name on disk."""

_OTHER_WORDS = {
    "training": "train", "learn": "train", "learning": "train", "dev": "validation", "eval": "validation",
    "evaluation": "validation", "testing": "test", "holdout": "test",
}  # fmt: skip
_THINGS = "set|data|dataset|images?|imgs|split|part|samples"
_FOLDER = re.compile(
    rf"(?P<before>.+[_\-. ])?(?P<part>{'|'.join((*_OTHER_WORDS, *PARTS))})[_\-. ]?(?:{_THINGS}|\d{{4}})?"
)


def part_of(folder: str) -> str | None:
    """The part that a folder's name says, whatever its case: ``Training``, ``train_set``, ``val2017``; None if none."""
    match = _FOLDER.fullmatch(folder.lower())
    return None if match is None or match["before"] else _meant(match["part"])


def like_a_part(folder: str) -> str | None:
    """The part that a name says, also after another word: ``seg_train``. A class can be called so: ``bullet_train``."""
    match = _FOLDER.fullmatch(folder.lower())
    return None if match is None else _meant(match["part"])


def _meant(word: str) -> str:
    return _OTHER_WORDS.get(word) or PARTS[word]


def assign(found: Iterable[str], where: str) -> tuple[dict[str, str], dict[str, str]]:
    """The name on disk of each part that is used, and a note if something had to be decided.

    A validation part without a test part is the test part: it is the only one nothing was tuned on.

    Args:
        found: names on disk, each of a part.
        where: the folder or file, for messages.

    Raises:
        DataError: no training part, or two of one kind.
    """
    found = sorted(found)
    if not any(like_a_part(name) == "train" for name in found):
        raise DataError(f"{where} has {', '.join(found)} and no train.")
    names: dict[str, str] = {}
    for name in found:
        part = like_a_part(name)
        assert part is not None, name
        if part in names:
            kind = {"train": "training"}.get(part, part)
            raise DataError(f"{where} has more than one {kind} part: {names[part]}, {name}. Keep one.")
        names[part] = name
    used = {part: names[part] for part in ("train", "test", "validation") if part in names}
    if "test" in names or "validation" not in names:
        return used, {}
    name = used.pop("validation")
    note = f"the data brings {name} and no test: {name} is the test part, validation is cut from train"
    return used | {"test": name}, {"test": note}
