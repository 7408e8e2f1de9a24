"""What parts are called on disk, and what kantor uses each for."""

from collections.abc import Iterable

from kantor.core.errors import DataError

PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""Part by the name it has on disk."""


def assign(found: Iterable[str], where: str) -> tuple[dict[str, str], dict[str, str]]:
    """The name on disk of each part that is used, and a note if something had to be decided.

    A validation part without a test part is the test part: it is the only one nothing was tuned on.

    Args:
        found: names on disk, each in ``PARTS``.
        where: the folder or file, for messages.

    Raises:
        DataError: no training part, or more than one validation part.
    """
    found = sorted(found)
    if "train" not in found:
        raise DataError(f"{where} has {', '.join(found)} and no train.")
    validation = [name for name in found if PARTS[name] == "validation"]
    if len(validation) > 1:
        raise DataError(f"{where} has more than one validation part: {', '.join(validation)}. Keep one.")
    used = {name: name for name in ("train", "test") if name in found}
    if not validation:
        return used, {}
    if "test" in found:
        return used | {"validation": validation[0]}, {}
    (name,) = validation
    note = f"the data brings {name} and no test: {name} is the test part, validation is cut from train"
    return used | {"test": name}, {"test": note}
