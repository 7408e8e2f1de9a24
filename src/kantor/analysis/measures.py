"""What is measured of two layers and of the plan between them: what each measure is called, and how it is written."""

from collections.abc import Iterable

from kantor.core.numbers import fixed, percent

HEADINGS = {
    "distance": "distance",
    "identity": "identity plan",
    "gap": "gap, %",
    "diagonal": "diagonal, %",
    "entropy": "entropy, %",
    "cka": "CKA",
    "changed_since_first": "changed partner, %",
}
"""Of a measure's column."""
SHARES = ("gap", "diagonal", "entropy", "changed_since_first", "changed_since_previous")
"""Measures in [0, 1] that are shown in per cent."""


def decimals(distances: Iterable[float]) -> int:
    """Decimals that tell distances apart: a student that starts as its teacher stays close to it."""
    return 3 if max(distances) >= 0.1 else 5


def written(measure: str, value: float | None, digits: int = 3) -> str:
    """A measure as tables show it: a share in per cent, any other number with so many digits behind the point."""
    return percent(value) if measure in SHARES else fixed(value, digits)
