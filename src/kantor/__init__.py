"""Distil, transfer and compare neural representations by optimal transport."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kantor import losses, ot
    from kantor.data import Batch, open_data
    from kantor.models import load
    from kantor.objective import Objective, Result, Term

__all__ = ["Batch", "Objective", "Result", "Term", "load", "losses", "open_data", "ot"]

_FROM = {
    "Batch": "data", "open_data": "data", "load": "models", "Objective": "objective", "Result": "objective",
    "Term": "objective",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """What is asked for is imported then, so that commands that need no torch start without it."""
    if name not in __all__:
        raise AttributeError(f"module 'kantor' has no attribute {name!r}")
    if name not in _FROM:
        return importlib.import_module(f"kantor.{name}")
    found = globals()[name] = getattr(importlib.import_module(f"kantor.{_FROM[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
