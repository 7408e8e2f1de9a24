"""What every comparison with a teacher shares: float32 or more, and a teacher that no gradient reaches."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.ot.precision import no_autocast

P = ParamSpec("P")
R = TypeVar("R")


def transfer(function: Callable[P, R]) -> Callable[P, R]:
    """Run a loss in full precision (:func:`full_precision`), with no gradient to its argument ``teacher``.

    Every loss as a function is wrapped in it, and every module's ``forward``
    (:class:`~kantor.losses.base.TransferLoss`). A learned embedding of the teacher's side lies between the two.

    Raises (when called):
        ShapeError: an output is no tensor; a tuple of them where the function takes one; or holds whole numbers, truth
            values or complex numbers.
    """
    parameters = inspect.signature(function).parameters
    names = list(parameters)
    place, sides = (
        names.index("teacher"),
        [(name, names.index(name)) for name in ("student", "mean", "teacher") if name in names],
    )
    careful = full_precision(function)
    single = {name: _is_one(parameters[name].annotation) for name, _ in sides}

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, position in sides:
            if name in kwargs or len(args) > position:  # what is left out is Python's to say
                _check_output(name, args[position] if len(args) > position else kwargs[name], single[name])
        if "teacher" in kwargs:
            kwargs["teacher"] = _detached(kwargs["teacher"])
        elif len(args) > place:
            args = (*args[:place], _detached(args[place]), *args[place + 1 :])  # type: ignore[assignment]
        return careful(*args, **kwargs)

    return wrapped


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` with autocast off and its half-precision tensor arguments (or tuples of them) in float32.

    float32 and float64 arguments stay as they are.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with no_autocast(_device(args)):
            return function(*map(_widen, args), **{key: _widen(value) for key, value in kwargs.items()})  # type: ignore[arg-type]

    return wrapped


def _widen(x):
    if isinstance(x, Tensor):
        return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    if isinstance(x, tuple | list):
        return tuple(_widen(item) for item in x)
    return x


def _is_one(annotation) -> bool:
    """Whether a parameter stands for one layer's output: a module's ``forward`` is not annotated, and takes many."""
    return annotation is not inspect.Parameter.empty and "tuple" not in str(annotation)


def _check_output(name: str, x, single: bool) -> None:
    many = isinstance(x, tuple | list)
    if not isinstance(x, Tensor) and not (many and x and all(isinstance(item, Tensor) for item in x)):
        raise ShapeError(
            f"The {name}'s output is a {type(x).__name__}, and losses compare tensors. Give the tensor in it, as "
            ".logits, or torch.from_numpy of an array."
        )
    if many and single:
        raise ShapeError(
            f"The {name}'s output is {len(x)} tensors, and this function compares one layer of each network: call it "
            "for each pair."
        )
    for item in x if many else (x,):
        _check_floating(name, item)


def _check_floating(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise ShapeError(
            f"The {name}'s output is {str(x.dtype).removeprefix('torch.')}, and losses compare floating-point numbers. "
            "Convert it with .float()."
        )


def _detached(x):
    if isinstance(x, Tensor):
        return x.detach()
    if isinstance(x, tuple | list):
        return tuple(_detached(item) for item in x)
    return x


def _device(args) -> torch.device:
    for x in args:
        first = x[0] if isinstance(x, tuple | list) and x else x
        if isinstance(first, Tensor):
            return first.device
    return torch.device("cpu")
