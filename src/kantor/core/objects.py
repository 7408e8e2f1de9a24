"""Objects that a program hands over, under names that settings can hold: ``object:Net``.

Settings are text, so that they can be written down. What a program has in its hands is looked up by such a name where
``package.module:Thing`` would be imported. It is there in the process it was handed to, and only for as long as that
is said; a file that names it brings no code with it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from kantor.core.errors import ConfigError

_PREFIX = "object:"
_at_hand: dict[str, Any] = {}


def object_name(label: str) -> str:
    """The name of an object that is called so."""
    return _PREFIX + label


def is_object(name: str) -> bool:
    """Whether a name is that of an object that a program handed over."""
    return name.startswith(_PREFIX)


@contextlib.contextmanager
def at_hand(things: Mapping[str, Any]) -> Iterator[None]:
    """These objects are there by their names until this is left."""
    before = dict(_at_hand)
    _at_hand.update(things)
    try:
        yield
    finally:
        _at_hand.clear()
        _at_hand.update(before)


def object_at(name: str) -> Any:
    """The object of a name.

    Raises:
        ConfigError: it is not at hand in this process.
    """
    if name not in _at_hand:
        raise ConfigError(
            f"{name} was handed over by a Python program as an object, and this process has it not. Go on from that "
            "program: the same kantor.study(...) with the same objects resumes its run, and what it returns opens and "
            "exports the students. What a module of yours defines at its top level can be found by its name instead."
        )
    return _at_hand[name]
