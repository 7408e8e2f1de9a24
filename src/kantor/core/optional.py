"""Packages that not everybody needs: what is missing is installed, and what is broken is said as it is."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator

from kantor.core.errors import ConfigError

BROKEN = (ImportError, RuntimeError, OSError, AttributeError)
"""What the import of an installed package raises where it does not fit the others here."""


@contextlib.contextmanager
def optional(need: str, extra: str, instead: str = "") -> Iterator[None]:
    """Import a package inside it that an extra brings.

    Args:
        need: who needs what, such as ``The digits need scikit-learn``.
        extra: kantor's, which brings it.
        instead: a sentence on how to do without.

    Raises:
        ConfigError: it is not installed, with the remedy; or it is, and its import fails, with the reason.
    """
    try:
        yield
    except BROKEN as error:
        rest = f" {instead}" if instead else ""
        if is_missing(error):
            raise ConfigError(f"{need}: pip install 'kantor[{extra}]'.{rest}") from error
        said = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{need}, and what is installed cannot be imported: {said}.{rest}") from error


def is_missing(error: BaseException) -> bool:
    """Whether an import failed for want of a package, and not by what an installed one does or lacks."""
    name = getattr(error, "name", None)
    if not isinstance(error, ModuleNotFoundError) or not name:
        return False
    package, _, part = name.partition(".")
    return not part or sys.modules.get(name, "") is None or importlib.util.find_spec(package) is None
