"""Whether a teacher's classes are the student's, as far as is known."""

from collections.abc import Sequence

from torch import nn

Classes = Sequence[str] | int | None
"""Names, or their number where that is all that is known, or None."""


def class_names(model: nn.Module) -> Classes:
    """Class names if the model carries them, else their number, else None."""
    return getattr(model, "class_names", None) or getattr(model, "num_classes", None)


def same_classes(mine: Classes, theirs: Classes) -> bool:
    """Whether they may be the same. Where nothing is known of one side, shapes are compared when a loss is built."""
    if mine is None or theirs is None:
        return True
    if isinstance(mine, int) or isinstance(theirs, int):
        return _count(mine) == _count(theirs)
    return list(mine) == list(theirs)


def unnamed(mine: Classes, theirs: Classes) -> int:
    """How many classes have no names on their side alone, and are taken for mine in the same order; 0 elsewhere."""
    taken = isinstance(theirs, int) and mine is not None and not isinstance(mine, int) and same_classes(mine, theirs)
    return theirs if taken else 0  # pyright: ignore[reportReturnType]  # an int where taken


def described(classes: Classes) -> str:
    """Number and first names, for messages."""
    if classes is None or isinstance(classes, int):
        return f"{classes or 'unknown'} classes"
    return f"{len(classes)} classes ({', '.join(list(classes)[:4])}{', ...' if len(classes) > 4 else ''})"


def _count(classes: Sequence[str] | int) -> int:
    return classes if isinstance(classes, int) else len(classes)
