"""What ``package.module:Thing`` names: imported, and looked up. Whether it may be is asked before."""

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from kantor.core.errors import ConfigError, suggest


def module_named(name: str, whole: str, what: str, built_in: Iterable[str] = ()) -> ModuleType:
    """A module by its name.

    Args:
        name: of the module.
        whole: what was written, for messages.
        what: is asked for, such as ``model``.
        built_in: names that could have been meant.

    Raises:
        ConfigError: there is no such module. An error inside one that is there goes on as it is.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        known = list(built_in)
        meant = f" If a built-in was meant: {suggest(name, known)}" if known else ""
        raise ConfigError(
            f"There is no module '{name}' to take the {what} {whole} from; is its folder on PYTHONPATH?{meant}"
        ) from error


def named_in_module(whole: str, what: str) -> Any:
    """What ``package.module:Thing`` names.

    Args:
        whole: as it was written.
        what: is asked for, such as ``task``.

    Raises:
        ConfigError: no such module, or nothing of that name in it; or it is Python's own library, which holds none.
    """
    name, _, attribute = whole.partition(":")
    if name.partition(".")[0] in sys.stdlib_module_names:
        raise ConfigError(f"{whole} is of the standard library, which holds no {what}.")
    module = module_named(name, whole, what)
    if not hasattr(module, attribute):
        known = [key for key in vars(module) if not key.startswith("_")]
        raise ConfigError(f"{name} has no {what} '{attribute}'. {suggest(attribute, known)}")
    return getattr(module, attribute)
