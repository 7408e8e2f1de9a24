"""Numbers as people read them: one way for each kind, in tables, on pages and in sentences."""

import math
from collections.abc import Callable, Sequence

UNKNOWN = "–"
"""In the place of a number that is not known."""


def fixed(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """So many digits behind the point."""
    return UNKNOWN if value is None else f"{value:{'+' if signed else ''}.{decimals}f}"


def percent(share: float | None, decimals: int = 1) -> str:
    """A share in [0, 1] as a number in per cent, without the unit."""
    return UNKNOWN if share is None else f"{100 * share:.{decimals}f}"


def roughly(share: float) -> str:
    """A share in [0, 1] in whole per cent, with the unit; a small one so that it is not nothing."""
    return f"{100 * share:.2g} %" if 0 < share < 0.01 else f"{percent(share, 0)} %"


def counting(value: float, digits: int) -> str:
    """A number to so many digits that count, without an exponent where that can be read."""
    if not math.isfinite(value) or (value and not 1e-4 <= abs(value) < 1e7):
        return f"{value:.{digits}g}"
    return fixed(value, decimals_of(value, digits))


def decimals_of(value: float, digits: int) -> int:
    """So many behind the point that so many digits of a value count."""
    return digits - 1 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))


def between(bounds: Sequence[float] | None, written: Callable[[float], str]) -> str:
    """Both bounds of an interval, each as ``written`` has it; empty where there is none."""
    return "" if bounds is None else " to ".join(map(written, bounds))


def true_minus(text: str) -> str:
    """The text with a minus sign before its negative numbers, as a page shows them."""
    return text.replace("-", "−")


def size(bytes_: float) -> str:
    """Bytes, in MB or GB."""
    return f"{bytes_ / 1e9:.3g} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.3g} MB"


def duration(seconds: float) -> str:
    """Seconds, in the unit that one would say."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
