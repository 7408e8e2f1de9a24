"""Settings of methods: what a constructor's annotations and ranges allow, and the message where one is not allowed."""

import inspect
import math
import types
from collections.abc import Callable, Iterable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from kantor.core.errors import ConfigError, suggest
from kantor.core.shape import MOST

_LARGEST = 2**31 - 1
"""Of a count: no tensor has more rows."""


def fitted(name: str, make: Callable[..., Any], settings: dict[str, Any]) -> dict[str, Any]:
    """``settings`` as the constructor annotates them, or a message.

    A whole number is taken for a float, and a float without a fraction (1e3) for a whole number; nothing else is
    converted. What has no annotation takes anything.

    Args:
        name: how the user calls what is made.
        make: a class or function with annotated parameters.
        settings: by parameter.

    Raises:
        ConfigError: a setting is unknown, or its value is not of its type.
    """
    known = list(_settings(make))
    hints = _hints(make.__init__ if inspect.isclass(make) else make)
    found = {}
    for key, value in settings.items():
        if key not in known:
            raise ConfigError(f"{name} has no setting {key!r}. {suggest(str(key), known)}")
        try:
            found[key] = _fitted(value, hints.get(key, Any))
        except TypeError:
            raise ConfigError(f"{name}: {key} is {_said(hints[key])}, not {_shown(value)}.") from None
    return found


def in_words(make: Callable[..., Any]) -> str:
    """The settings that a class or function takes, one a line: its name, what it takes, and its default."""
    hints, lines = _hints(make.__init__ if inspect.isclass(make) else make), []
    for key, parameter in _settings(make).items():
        takes = f": {_said(hints[key])}" if key in hints else ""
        default = "" if parameter.default is parameter.empty else f" ({_default(parameter.default)})"
        lines.append(f"{key}{takes}{default}")
    return "\n".join(lines)


def _default(value: Any) -> str:
    if value is None:
        return "left out"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | str) else "its own"


def _settings(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {key: p for key, p in inspect.signature(make).parameters.items() if p.kind not in variadic}


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    """Its annotations; none where they name what exists for type checkers alone."""
    try:
        return get_type_hints(make)
    except NameError:
        return {}


def _fitted(value: Any, kind: Any) -> Any:
    """``value`` as ``kind`` has it; a TypeError where it is another."""
    if get_origin(kind) in (Union, types.UnionType):
        for choice in get_args(kind):
            try:
                return _fitted(value, choice)
            except TypeError:
                pass
        raise TypeError
    if get_origin(kind) is Literal:
        if isinstance(value, str) and value in get_args(kind):
            return value
        raise TypeError
    if get_origin(kind) in (list, dict):
        if not isinstance(value, get_origin(kind)) or (isinstance(value, dict) and not all(map(_is_word, value))):
            raise TypeError
        items = get_args(kind)[-1]
        if isinstance(value, dict):
            return {key: _fitted(item, items) for key, item in value.items()}
        return [_fitted(item, items) for item in value]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int and number and abs(value) <= _LARGEST and value == int(value):
        return int(value)
    if kind is float and number and abs(value) <= MOST:
        return value if abs(value) <= _LARGEST else float(value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    if kind is Any or (kind is type(None) and value is None):
        return value
    if kind not in (int, float, bool, str) and isinstance(kind, type) and isinstance(value, kind):
        return value
    raise TypeError


def _is_word(value: Any) -> bool:
    return isinstance(value, str)


def _said(kind: Any) -> str:
    """A type in words."""
    if get_origin(kind) in (Union, types.UnionType):
        said = [_said(choice) for choice in get_args(kind)]
        return " or ".join(dict.fromkeys(said))
    if get_origin(kind) is Literal:
        return " or ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) in (list, dict):
        return {list: "a list", dict: "a mapping by name"}[get_origin(kind)]
    words = {
        int: "a whole number",
        float: "a finite number",
        bool: "true or false",
        str: "a word",
        type(None): "left out",
    }
    return words.get(kind) or f"a {getattr(kind, '__name__', kind)} in Python code"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def positive(name: str, **settings: float) -> None:
    """Refuse settings that are not positive and finite.

    Raises:
        ConfigError: with all of them, as one sentence.
    """
    if not all(0 < value < math.inf for value in settings.values()):
        raise ConfigError(f"{name}: {_all(settings)} must be positive and finite, not {_all(settings.values())}.")


def not_negative(name: str, **settings: float) -> None:
    """Refuse settings that are negative or not finite.

    Raises:
        ConfigError: with all of them, as one sentence.
    """
    if not all(0 <= value < math.inf for value in settings.values()):
        raise ConfigError(f"{name}: {_all(settings)} must be finite and not negative, not {_all(settings.values())}.")


def share(name: str, **settings: float) -> None:
    """Refuse what is not in [0, 1), as a weight of the past must be.

    Raises:
        ConfigError: with all of them, as one sentence.
    """
    if not all(0 <= value < 1 for value in settings.values()):
        raise ConfigError(f"{name}: {_all(settings)} is in [0, 1), not {_all(settings.values())}.")


def _all(items: Iterable[Any]) -> str:
    return " and ".join(map(str, items))
