"""What is said of a teacher that is right far less often than it should be: mostly it is shown what it never saw."""

from pathlib import Path
from typing import Any

import numpy as np

from kantor.core.errors import KantorError
from kantor.core.numbers import percent
from kantor.core.sealed_json import read_sealed_json
from kantor.data import Part
from kantor.models.spec import parse

HARDLY = 0.1
"""A share of the way from chance to always right, below which a teacher is hardly better than chance."""
FAR = 0.1
"""So much less accuracy than its file records is far worse."""


def doubt(name: str, spec: str, share: float | None, test: Part | None, *, trained_here: bool = False) -> str | None:
    """A line on a teacher that is hardly better than chance, or far worse than its file records; None if it is neither.

    Args:
        name: the teacher's.
        spec: its model's name, with its weights.
        share: of the test part that it is right on, in [0, 1]; None where its classes are others.
        test: the test part.
        trained_here: its weights were not given: then its inputs and classes are those of the data.
    """
    if share is None or test is None or not len(test):
        return None
    known = test.targets[test.targets >= 0]  # of a class for every token some places have none
    if not len(known):
        return None
    chance = float(np.bincount(known).max() / len(known))
    recorded = _recorded(spec)
    if share < chance + HARDLY * (1 - chance):
        said = f"the commonest class alone is {percent(chance)} % of it"
    elif recorded is not None and share < recorded - FAR:
        said = f"beside its weights stands {percent(recorded)} %"
    else:
        return None
    why = (
        "It was trained for this: give it more epochs or another rate (--teacher-epochs, --teacher-lr), or a teacher "
        "with weights (NAME:FILE)."
        if trained_here
        else "It may be shown inputs that are not its owner's (@normalise=, @size=, --image-size), or number the "
        "classes in another order (--teacher-classes)."
    )
    return (
        f"\n!!! WARNING: teacher {name} is right on {percent(share)} % of the test part, and {said}. {why} A student "
        "learns little from it.\n"
    )


def _recorded(spec: str) -> float | None:
    """The accuracy that was found when the weights were made, where that is kept beside them."""
    try:
        weights = Path(spec) if Path(spec).suffix == ".safetensors" and ":" not in spec else parse(spec).weights
        if weights is None or weights.stem not in ("student", "teacher"):
            return None
        result: Any = read_sealed_json(weights.parent / "result.json")
    except KantorError:
        return None
    found = result.get("accuracy") if isinstance(result, dict) else None
    return float(found) if isinstance(found, int | float) else None
