"""A loss of the user's own, ``package.module:MyLoss``."""

import inspect
import math
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from kantor.core.errors import ConfigError
from kantor.core.imported import imported
from kantor.core.objects import is_object
from kantor.losses.base import TransferLoss
from kantor.losses.penalty import WeightPenalty

_REMEDY = "Name a subclass of kantor.losses.TransferLoss or kantor.losses.WeightPenalty."


def own_loss(
    path: str, settings: Mapping[str, Any], built_in: Mapping[str, Any]
) -> type[TransferLoss] | type[WeightPenalty]:
    """The class that a path names, or that a program handed over, or an object of it.

    Args:
        path: ``package.module:MyLoss``.
        settings: what it is made with.
        built_in: losses that could have been meant.

    Raises:
        ConfigError: nobody gave leave to import it (:mod:`kantor.core.trust`), it is not there, it is no loss, or it
            does not say what every loss says of itself.
    """
    found = imported(path, "loss", _REMEDY, settings, built_in)
    kind = type(found) if is_object(path) and isinstance(found, TransferLoss | WeightPenalty) else found
    if not (inspect.isclass(kind) and issubclass(kind, TransferLoss | WeightPenalty)):
        raise ConfigError(f"{path} is no loss. {_REMEDY}")
    if inspect.isabstract(kind) or kind.forward in (TransferLoss.forward, WeightPenalty.forward):
        raise ConfigError(f"{path} computes nothing: give it a forward, as {kind.__mro__[1].__name__} describes it.")
    for field, takes, right in _fields(kind):
        if not hasattr(kind, field):
            raise ConfigError(f"{path} does not say its {field}: set it in the class, {takes}.")
        if not right(getattr(kind, field)):
            raise ConfigError(f"{path}: {field} is {takes}, not {getattr(kind, field)!r}.")
    return kind


def _fields(kind: type[TransferLoss] | type[WeightPenalty]) -> list[tuple[str, str, Any]]:
    """What a class must say of itself: each field, what it takes, and whether a value is that."""
    fields = [
        ("name", "a word, by which logs call it", lambda value: isinstance(value, str) and value.isidentifier()),
        ("default_weight", "a positive number", _is_weight),
    ]
    if issubclass(kind, TransferLoss):
        readable = get_args(get_args(get_type_hints(TransferLoss)["reads"])[0])
        fields.append(("reads", " or ".join(readable), lambda value: value in readable))
    return fields


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
