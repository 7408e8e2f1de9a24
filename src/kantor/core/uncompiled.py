"""Functions that stay out of compiled graphs, without the compiler being imported before anything is compiled."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch

_P = ParamSpec("_P")
_T = TypeVar("_T")


def outside_graphs(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """``function``, run eagerly where a graph that is compiled comes by it, and as it is everywhere else."""
    # torch.compiler.disable imports the compiler at once, 1.5 s at every start; torch's own form waits for a graph.
    disable: Any = getattr(torch, "_disable_dynamo", torch.compiler.disable)
    eager: Callable[_P, _T] = disable(function)

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return eager(*args, **kwargs) if torch.compiler.is_compiling() else function(*args, **kwargs)

    return call
