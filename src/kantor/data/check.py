"""Look at every image of a data set once, and keep what was found."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kantor.core.errors import ConfigError, DataError
from kantor.data.checks import COLOUR, CORRUPT, LOOKED, Checks
from kantor.data.kept_listing import forget_listing
from kantor.data.open import images_at

_SAID_EVERY = 5.0
"""Seconds between two lines of progress."""
_NAMED = 20
"""Damaged images that are named one by one."""


def check_images(path: str | Path, say: Callable[[str], None]) -> None:
    """Decode every image of which it is not known that it can be, on all cores, and say what there is.

    What was found is kept as it goes on: a second look begins where a killed one ended, and is over at once where
    nothing has changed.

    Args:
        path: a folder, zip or parquet folder of images.
        say: told lines of progress, and what was found.

    Raises:
        DataError: the data cannot be read, or images are damaged, which are named.
        ConfigError: the data holds no images that are decoded.
    """
    if Path(path).is_dir():
        forget_listing(Path(path))
    parts = images_at(path)
    if not parts:
        raise ConfigError(
            f"{path} holds no image files: there is nothing to check. Every command reads the rest whole."
        )
    damaged: list[str] = []
    for name, encoded in parts.items():
        found = Checks(encoded)
        known = int((found.flags > 0).sum())
        found.complete(_progress(f"{name}: looked at", known, say))
        corrupt = np.flatnonzero(found.flags & CORRUPT)
        damaged += [found.reasons[place] for place in corrupt.tolist()]
        say(f"{name}: {len(encoded):,} images, {_facts(found)}{f'; {len(corrupt):,} damaged' if len(corrupt) else ''}")
    if damaged:
        more = f"\n  and {len(damaged) - _NAMED:,} more" if len(damaged) > _NAMED else ""
        raise DataError(
            f"{len(damaged):,} images cannot be decoded. Replace or remove them, or leave them out with --skip-corrupt "
            "true:\n  " + "\n  ".join(damaged[:_NAMED]) + more
        )


def _facts(found: Checks) -> str:
    """Sizes and colours, in words."""
    looked = (found.flags & LOOKED) > 0
    if not looked.any():
        return "none of which can be decoded"
    sides = found.sides[looked]
    low, high = sides.min(axis=0), sides.max(axis=0)
    one = f"all {low[0]} x {low[1]} pixels"
    many = f"{low[0]} to {high[0]} pixels wide and {low[1]} to {high[1]} high, so that --image-size is needed"
    colour = int((found.flags[looked] & COLOUR > 0).sum())
    kinds = "in colour" if colour == len(sides) else "grey" if not colour else f"{colour:,} of them in colour"
    return f"{one if (low == high).all() else many}, {kinds}"


def _progress(what: str, known: int, say: Callable[[str], None]) -> Callable[[int, int], None]:
    begun = last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SAID_EVERY and done < total:
            last = now
            say(f"{what} {done:,} of {total:,}, {(done - known) / (now - begun):,.0f} a second")

    return tell
