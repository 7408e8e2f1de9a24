"""What may be given in the place of a task: a task, a plain loss, a name."""

import inspect
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from kantor.core import trust
from kantor.core.errors import ConfigError, suggest
from kantor.core.imported import imported, is_path
from kantor.tasks.classification import Classification
from kantor.tasks.dense_labels import DenseLabels
from kantor.tasks.metrics import MeanLoss
from kantor.tasks.next_token import NextToken
from kantor.tasks.regression import Regression
from kantor.tasks.several_labels import SeveralLabels
from kantor.tasks.task import Task
from kantor.tasks.token_classification import TokenClassification

BUILT_IN: dict[str, type[Task]] = {
    task.name: task for task in (Classification, SeveralLabels, Regression, TokenClassification, NextToken, DenseLabels)
}
"""Tasks by their names."""

_REMEDY = "Name a subclass of kantor.tasks.Task, one of its objects, or a function that makes one."


class OfLoss(Task):
    """A plain loss on outputs and labels, judged by itself.

    Args:
        function: the mean loss of a batch.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.metrics = (MeanLoss(self.loss_sums),)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.function(outputs, targets)


def as_task(given: Any) -> Task | None:
    """A task from what may be given in its place: a task, a plain loss on outputs and labels, or None.

    ``torch.nn.functional.cross_entropy`` is classification.

    Raises:
        ConfigError: it is something else.
    """
    if given is F.cross_entropy:
        return Classification()
    if given is None or isinstance(given, Task):
        return given
    if isinstance(given, type) and issubclass(given, Task):
        raise ConfigError(f"task={given.__name__} is the class of a task: give one, as {given.__name__}().")
    if not callable(given):
        raise ConfigError(
            f"task={given!r} is no task: give a kantor.tasks.Task, a loss on outputs and labels, or None. Its name is "
            "made a task by kantor.tasks.named."
        )
    return OfLoss(given)


def named(name: str) -> Task:
    """The task of a name: a built-in, your own as ``package.module:Task``, or ``labels``, which is what a class a
    sample implies: classification.

    There the class of a task is called without arguments, and so is a function that makes one; a task is taken as it
    is.

    Raises:
        ConfigError: there is none of that name, or it is no task.
    """
    trust.wrote([name] if is_path(name) else [])
    return made(name)


def made(name: str) -> Task:
    """:func:`named` for a name that may stand in a file, which decides no code that runs (:mod:`kantor.core.trust`).

    Raises:
        ConfigError: it names code that the user did not write; or see :func:`named`.
    """
    if name == "labels":
        return Classification()
    if not is_path(name):
        if name not in BUILT_IN:
            raise ConfigError(
                f"There is no task {name!r}. {suggest(name, BUILT_IN)} Your own is written package.module:Task."
            )
        return BUILT_IN[name]()
    found = imported(name, "task", _REMEDY)
    task = found() if makes_one(found) else found
    if not isinstance(task, Task):
        what = "another class" if isinstance(task, type) else f"a {type(task).__name__}"
        raise ConfigError(f"{name} is no task, but {what}. {_REMEDY}")
    return task


def makes_one(found: Any) -> bool:
    """Whether calling it without arguments may make a task."""
    if isinstance(found, Task) or not callable(found) or (isinstance(found, type) and not issubclass(found, Task)):
        return False
    found = found.forward if isinstance(found, nn.Module) else found
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # of torch's functions in C++ Python knows no arguments: they are losses
        return False
    return all(p.default is not p.empty or p.kind in kinds for p in parameters)
