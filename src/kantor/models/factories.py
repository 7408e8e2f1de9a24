"""A factory of the user's own, ``package.module:factory``: found, and known for one before anything is called. Or a
network that a program handed over, which makes copies of itself."""

import inspect
import sys
import types
import typing
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from kantor.core.errors import ConfigError
from kantor.core.imported import imported
from kantor.core.objects import is_object, object_at
from kantor.models.builtin import BUILTIN
from kantor.models.spec import Spec


def given_network(spec: Spec) -> nn.Module | None:
    """The network that a program handed over under this name (:mod:`kantor.core.objects`); None where it is a name of
    anything else.

    Raises:
        ConfigError: it is not at hand in this process.
    """
    found = object_at(spec.name) if is_object(spec.name) else None
    return found if isinstance(found, nn.Module) else None


def factory_at(spec: Spec) -> Callable[..., Any]:
    """What a Python path names, if it may be imported and may make a network.

    Nothing is called. What is plainly no factory is refused: a function of Python's own library, compiled code, a class
    that is no network, and whatever is annotated to return something else.

    Raises:
        ConfigError: nobody gave leave to import it; it is not there; or it makes no network.
    """
    factory = imported(spec.name, "factory", _REMEDY, spec.choosing, BUILTIN)
    why = _why_not(factory)
    if why is not None:
        raise ConfigError(f"{spec.name} {why}. {_REMEDY}")
    return factory


_REMEDY = "Name a class that is an nn.Module, or a function that returns one."


def _why_not(factory: Any) -> str | None:
    """Why something makes no network, where that can be told without calling it."""
    if isinstance(factory, partial):
        return _why_not(factory.func)
    if isinstance(factory, nn.Module):
        return "is a network already, and what makes one is asked for"
    if not callable(factory):
        return f"is {factory!r:.60}, which cannot be called"
    if inspect.isclass(factory):
        return None if issubclass(factory, nn.Module) else "is a class that is no nn.Module"
    if inspect.isroutine(factory) and not isinstance(factory, types.FunctionType | types.MethodType):
        return "is compiled code, which makes no network"
    function = inspect.unwrap(factory if inspect.isroutine(factory) else type(factory).__call__)
    if (getattr(function, "__module__", None) or "").partition(".")[0] in sys.stdlib_module_names:
        return "is of the standard library, which makes no networks"
    returned = _returned(function)
    return None if returned is None or _may_be_network(returned) else f"returns {_named(returned)}"


def _returned(function: Any) -> Any:
    """The annotation of what a function returns; None where it says nothing that can be read."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception:  # an annotation may be any expression, and name what is not there
        return None
    empty = signature.return_annotation is signature.empty
    return None if empty else type(None) if signature.return_annotation is None else signature.return_annotation


def _may_be_network(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(_may_be_network(kind) for kind in typing.get_args(annotation))
    kind = typing.get_origin(annotation) or annotation
    if kind is Any or not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return True  # a type variable, text and the like: it cannot be told
    return issubclass(kind, nn.Module) or issubclass(nn.Module, kind)


def _named(kind: Any) -> str:
    return "nothing" if kind is type(None) else getattr(kind, "__name__", str(kind))
