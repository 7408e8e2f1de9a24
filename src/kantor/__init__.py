"""Distil, transfer and compare neural representations by optimal transport."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kantor import losses, ot, tasks
    from kantor.carry import pruned, transported
    from kantor.core.errors import ConfigError, DataError, KantorError, NonFiniteError, ShapeError
    from kantor.data import Batch, open_data
    from kantor.in_python import Comparison, export, study
    from kantor.models import load
    from kantor.objective import Objective, Result, Term
    from kantor.tasks import Task

__all__ = [
    "Batch",
    "Comparison",
    "ConfigError",
    "DataError",
    "KantorError",
    "NonFiniteError",
    "Objective",
    "Result",
    "ShapeError",
    "Task",
    "Term",
    "export",
    "load",
    "losses",
    "open_data",
    "ot",
    "pruned",
    "study",
    "tasks",
    "transported",
]

_FROM = {
    "carry": ("pruned", "transported"),
    "data": ("Batch", "open_data"),
    "in_python": ("Comparison", "export"),
    "models": ("load",),
    "objective": ("Objective", "Result", "Term"),
    "tasks": ("Task",),
    "core.errors": ("ConfigError", "DataError", "KantorError", "NonFiniteError", "ShapeError"),
}
_HOME = {name: module for module, names in _FROM.items() for name in names}


def __getattr__(name: str) -> Any:
    """What is asked for is imported then, so that commands that need no torch start without it."""
    if name not in __all__:
        raise AttributeError(f"module 'kantor' has no attribute {name!r}")
    if name not in _HOME:
        return importlib.import_module(f"kantor.{name}")
    found = globals()[name] = getattr(importlib.import_module(f"kantor.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
