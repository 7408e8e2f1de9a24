"""The errors a user can mend. Each message names the thing and the remedy.

The command line prints them without a traceback; anything else is a bug and keeps its traceback.
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class KantorError(Exception):
    """Something the user gave cannot be used. The message says what, and what to do."""


class ConfigError(KantorError):
    """A setting, name or combination of settings that cannot be used."""


class DataError(KantorError):
    """A data set, file or sample that cannot be used."""


class ShapeError(KantorError):
    """Tensors whose shapes do not fit what is asked of them."""


class NonFiniteError(KantorError):
    """A loss, cost or mass became NaN or infinite."""


@contextlib.contextmanager
def not_finite_in(what: str) -> Iterator[None]:
    """Say of what it is that something was not finite."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"{what}: {error}") from error


def suggest(name: str, known: Iterable[str]) -> str:
    """A sentence that names what is close to ``name`` among ``known``, or all of it if nothing is."""
    known = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    if close:
        return "Close to it: " + ", ".join(close) + "."
    if not known:
        return "There is none to choose from."
    shown = ", ".join(known[:40])
    return f"There are: {shown}{', ...' if len(known) > 40 else ''}."
