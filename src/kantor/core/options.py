"""Options of a name, ``NAME@key=value``: taken apart, and typed by the signature of what they go to."""

import inspect
import types
import typing
from ast import literal_eval
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kantor.core.errors import ConfigError, suggest


def split_options(text: str, whole: str) -> tuple[str, dict[str, str]]:
    """``NAME@key=value...`` as the name and its options.

    Args:
        text: the name.
        whole: what the user wrote, for the message.

    Raises:
        ConfigError: something after an ``@`` is not ``key=value``.
    """
    name, *parts = text.split("@")
    options: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise ConfigError(f"'@{part}' in '{whole}' is no option; options are written @key=value.")
        options[key] = value
    return name, options


def typed_options(
    factory: Callable[..., Any],
    options: Mapping[str, str],
    name: str,
    given: Collection[str] = (),
    besides: Collection[str] = (),
) -> dict[str, Any]:
    """The options as the factory's keyword arguments.

    A parameter's annotation (int, float, bool, str, or one of them or None) decides; without one, a Python literal is
    read as such and anything else stays text. A factory with ``**kwargs`` takes any name.

    Args:
        factory: a function, class or ``functools.partial`` of one.
        options: name -> text.
        name: of what is made, for the message.
        given: parameters that are no options: whoever calls the factory fills them.
        besides: options that there are although the factory does not take them, for the message.

    Raises:
        ConfigError: the factory has no such option (says which are close), or the text is not of its type.
    """
    parameters = _signature(factory).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = [
        p.name
        for p in parameters.values()
        if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in given
    ]
    for key in options:
        if key not in known and not open_ended:
            raise ConfigError(f"{name} has no option '{key}'. {suggest(key, [*known, *besides])}")
    annotations = {key: parameter.annotation for key, parameter in parameters.items()}
    return {key: convert(text, annotations.get(key), f"{name}@{key}") for key, text in options.items()}


def numbers_or_text(options: Mapping[str, str]) -> dict[str, Any]:
    """The options, numbers, true and false as such and all else as text; of them text may choose code
    (:func:`kantor.core.trust.code`)."""
    found = literals(options)
    return {key: found[key] if isinstance(found[key], bool | int | float) else text for key, text in options.items()}


def literals(options: Mapping[str, str]) -> dict[str, Any]:
    """The options for a factory that says nothing of their types: Python literals as such, anything else as text."""
    return {key: convert(text, None, key) for key, text in options.items()}


def convert(text: str, annotation: Any, name: str) -> Any:
    """One option's value.

    Raises:
        ConfigError: the text is not of the annotated type.
    """
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    if type(None) in kinds and text.lower() == "none":
        return None
    for kind in kinds:
        try:
            if kind is bool:
                return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
            if kind in (int, float):
                return kind(text)
        except (ValueError, KeyError):
            continue
    if any(kind in (bool, int, float) for kind in kinds) and str not in kinds:
        wanted = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds if kind is not type(None))
        raise ConfigError(f"{name}={text}: the value must be {wanted}.")
    if str in kinds:
        return text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _signature(factory: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(factory, eval_str=True)
    except NameError:  # an annotation that exists for type checkers alone
        return inspect.signature(factory)
