"""What ``package.module:Thing`` names: imported, where that is allowed, and looked up."""

import importlib
import re
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from kantor.core import trust
from kantor.core.errors import ConfigError, suggest
from kantor.core.objects import is_object, object_at


def is_path(text: str) -> bool:
    """Whether a name begins as ``package.module:Thing``; ``@key=value`` and ``:REST`` may follow."""
    module, _, rest = text.partition(":")
    thing = re.split("[@:]", rest, maxsplit=1)[0]
    return all(part.isidentifier() for part in module.split(".")) and thing.isidentifier()


def imported(
    path: str, what: str, remedy: str, options: Mapping[str, Any] | None = None, built_in: Iterable[str] = ()
) -> Any:
    """What ``package.module:Thing`` names, or ``object:Thing`` that a program handed over.

    Args:
        path: as it was written.
        what: is asked for, such as ``task``.
        remedy: what to name in the place of what cannot be one, as a sentence.
        options: what it will be called with; text among them belongs to what was allowed
            (:func:`kantor.core.trust.code`).
        built_in: names that could have been meant.

    Raises:
        ConfigError: nobody gave leave to import it (:mod:`kantor.core.trust`); an object that is not at hand; there is
            no such module, or nothing of that name in it; or it is Python's own library, which holds none. An error
            inside a module that is there goes on as it is.
    """
    if is_object(path):
        return object_at(path)
    trust.check(trust.code(path, options))
    name, _, attribute = path.partition(":")
    if name.partition(".")[0] in sys.stdlib_module_names:
        raise ConfigError(f"{path} is of the standard library, which holds no {what}. {remedy}")
    module = _module(name, path, what, built_in)
    if not hasattr(module, attribute):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(f"{name} has no {what} '{attribute}'. {suggest(attribute, known)}")
    return getattr(module, attribute)


def _module(name: str, path: str, what: str, built_in: Iterable[str]) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        known = list(built_in)
        meant = f" If a built-in was meant: {suggest(name, known)}" if known else ""
        raise ConfigError(
            f"There is no module '{name}' to take the {what} {path} from; is its folder on PYTHONPATH?{meant}"
        ) from error
