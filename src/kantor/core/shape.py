"""Whether plain values, as JSON and YAML give them, are of a type: what annotations say, checked where data come in."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, Required, Union

from kantor.core.errors import ConfigError

MOST = 3e38
"""The largest number that float32 holds, nearly: what is computed in it takes no larger setting."""


class Misfit(ValueError):
    """A value is not of the type asked for. The message names its place in the whole, and both."""


def fitted(value: Any, shape: Any, place: str = "") -> Any:
    """The value, if it is of the shape.

    Args:
        value: mappings, lists, text, numbers, truth values and None.
        shape: an annotation of those: a class, a union, ``Literal``, ``list[...]``, ``tuple[...]``, ``dict[str, ...]``,
            a ``TypedDict`` (keys that it does not name are let through), or a dataclass (they are not). ``float`` takes
            whole numbers too, and nothing that is not finite; ``int`` takes no truth value.
        place: where the value stands, for the message.

    Raises:
        Misfit: it is not.
    """
    origin, arguments = typing.get_origin(shape), typing.get_args(shape)
    if shape is Any:
        return value
    if origin in (Required, NotRequired):
        return fitted(value, arguments[0], place)
    if origin in (Union, types.UnionType):
        return _one_of(value, arguments, shape, place)
    if origin is Literal:
        return value if type(value) in map(type, arguments) and value in arguments else _misfit(value, shape, place)
    if typing.is_typeddict(shape) or (isinstance(shape, type) and dataclasses.is_dataclass(shape)):
        return _record(value, shape, place)
    kind = origin or shape
    if kind is dict:
        _need(isinstance(value, dict), value, shape, place)
        for key, item in value.items():
            fitted(key, arguments[0] if arguments else str, f"{place}: a key" if place else "a key")
            fitted(item, arguments[1] if arguments else Any, _below(place, key))
    elif kind in (list, tuple):
        _need(isinstance(value, list | tuple), value, shape, place)
        kinds = arguments[:1] * len(value) if kind is list or arguments[1:] == (...,) else arguments
        _need(not arguments or len(kinds) == len(value), value, shape, place)
        for k, (item, each) in enumerate(zip(value, kinds, strict=False)):
            fitted(item, each, _below(place, k))
    elif kind is float:
        _need(isinstance(value, int | float) and not isinstance(value, bool) and _finite(value), value, shape, place)
    elif kind is int:
        _need(isinstance(value, int) and not isinstance(value, bool), value, shape, place)
    else:
        _need(isinstance(value, type(None) if kind is None else kind), value, shape, place)
    return value


def check_settings(settings: Any) -> None:
    """Refuse settings of another type than theirs, and numbers that are not computed with: whoever writes a program may
    give what the command line and YAML would not let through.

    Args:
        settings: a dataclass, typed as :func:`fitted` reads it.

    Raises:
        ConfigError: names the setting and what it takes.
    """
    hints = typing.get_type_hints(type(settings))
    for name, value in vars(settings).items():
        try:
            fitted(value, hints[name], name)
        except Misfit as error:
            fields = {field.name: field for field in dataclasses.fields(settings)}
            missing = dataclasses.MISSING
            needed = fields[name].default is missing and fields[name].default_factory is missing
            raise ConfigError(f"{error}.{'' if needed else f' Leave {name} out for its default.'}") from None
        if isinstance(value, int | float) and abs(value) > MOST:
            shown = f"{value:g}" if isinstance(value, float) else f"of {len(str(abs(value)))} digits"
            raise ConfigError(f"{name} is {shown}, more than is computed with. Give a smaller number.")


def _record(value: Any, shape: Any, place: str) -> Any:
    """A mapping with named entries, each of its own shape."""
    hints = typing.get_type_hints(shape, include_extras=True)
    _need(isinstance(value, Mapping), value, dict, place)
    if typing.is_typeddict(shape):
        required, open_ended = shape.__required_keys__, True
    else:
        fields = dataclasses.fields(shape)
        missing = dataclasses.MISSING
        required = {f.name for f in fields if f.default is missing and f.default_factory is missing}
        open_ended = False
    for key in hints:
        if key in required and key not in value:
            raise Misfit(f"{_at(place)}{key!r} is missing")
    for key, item in value.items():
        if key in hints:
            fitted(item, hints[key], _below(place, key))
        elif not open_ended:
            raise Misfit(f"{_at(place)}{key!r} is an unknown key")
    return value


def _one_of(value: Any, shapes: tuple[Any, ...], whole: Any, place: str) -> Any:
    deeper = []
    for shape in shapes:
        try:
            return fitted(value, shape, place)
        except Misfit as error:
            if isinstance(value, dict | list) and not str(error).startswith(_wrong(value, shape, place)):
                deeper.append(error)  # of the right kind, and wrong within: that is what to say
    raise Misfit(", or ".join(map(str, deeper)) or _wrong(value, whole, place))


def _need(holds: bool, value: Any, shape: Any, place: str) -> None:
    if not holds:
        _misfit(value, shape, place)


def _misfit(value: Any, shape: Any, place: str) -> typing.NoReturn:
    raise Misfit(_wrong(value, shape, place))


def _wrong(value: Any, shape: Any, place: str) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"{place or 'it'} is {shown}, and must be {_spoken(shape)}"


_SPOKEN = {
    dict: "a mapping",
    list: "a list",
    tuple: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "nothing",
}


def _spoken(shape: Any) -> str:
    origin, arguments = typing.get_origin(shape), typing.get_args(shape)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_spoken(kind) for kind in arguments))
    if origin is Literal:
        return " or ".join(map(str, arguments))
    kind = origin or shape
    if kind in _SPOKEN:
        return _SPOKEN[kind]
    return "a mapping" if typing.is_typeddict(kind) or dataclasses.is_dataclass(kind) else getattr(kind, "__name__", "")


def _below(place: str, key: Any) -> str:
    name = f"[{key}]" if isinstance(key, int) else str(key)
    return f"{place}{name}" if isinstance(key, int) else f"{place}.{name}" if place else name


def _at(place: str) -> str:
    return f"{place}: " if place else ""


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
