"""Objects -> the names that a study's settings hold."""

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from kantor.core.digests import tensors_digest
from kantor.core.errors import ConfigError
from kantor.core.objects import object_name
from kantor.data import DataSet
from kantor.data.own import as_arrays
from kantor.losses import TransferLoss, WeightPenalty
from kantor.objective import Balanced, Term, Weight
from kantor.objective.terms import Recipe
from kantor.tasks.given import as_task, makes_one


@dataclass
class Names:
    """Names for what a program hands over."""

    objects: dict[str, Any] = field(default_factory=dict)
    """By name, what has none that another process could find it by."""

    def of_model(self, given: Any, role: str) -> str:
        """A model: its name; a function of a module by its path; a network, or what makes one, as an object.

        Args:
            given: what was handed over.
            role: what it is for, and is called by.

        Raises:
            ConfigError: it makes no network.
        """
        if isinstance(given, str | Path):
            return str(given)
        if not isinstance(given, nn.Module) and not callable(given):
            raise ConfigError(
                f"{role} is {given!r:.60}: give a network, a function that makes one, or a name as on the command line."
            )
        return self._named(given, role)

    def of_teachers(self, given: Any) -> str | None:
        """One teacher, a list of them, or a mapping from what they are to be called.

        Raises:
            ConfigError: see :meth:`of_model`; a teacher with two names.
        """
        if given is None or isinstance(given, str | Path):
            return None if given is None else str(given)
        if isinstance(given, Mapping):
            if strings := [name for name, one in given.items() if isinstance(one, str | Path)]:
                raise ConfigError(
                    f"teacher {strings[0]!r} is a name already, and is called by its model. Give names alone as one "
                    "text, 'A,B', or load them: kantor.load(...)."
                )
            return ",".join(self._put(_word(name), one) for name, one in given.items())
        if isinstance(given, Sequence):
            labels = [_label(one, "teacher") for one in given]
            numbered = [f"{x}_{k + 1}" if labels.count(x) > 1 else x for k, x in enumerate(labels)]
            return ",".join(self.of_model(one, label) for one, label in zip(given, numbered, strict=True))
        return self.of_model(given, "teacher")

    def of_data(self, given: Any, image_size: int | None) -> str:
        """Data: a path or name; a reader by its path; whatever yields samples is read here, once, and kept.

        Raises:
            ConfigError: it was opened already.
            DataError: see :func:`kantor.data.own.as_arrays`.
        """
        if isinstance(given, str | Path):
            return str(given)
        if isinstance(given, DataSet):
            raise ConfigError("data was opened already, and a study cuts it itself: give what open_data was given.")
        if path := _importable(given):
            return path
        made = given() if inspect.isroutine(given) else given
        return self._put("data", as_arrays(made, "data is", object_name("data"), image_size))

    def of_task(self, given: Any) -> str:
        """A task: its name; a class of a module, or a function that makes one, by its path; else the object, which may
        be a plain loss on outputs and labels."""
        if isinstance(given, str):
            return given
        return self._named(given if given is None or makes_one(given) else as_task(given), "task")

    def of_methods(self, given: Any) -> Any:
        """Methods as settings hold them: losses may stand among them, and :class:`~kantor.objective.Term` objects.

        A loss in hand, or a class of losses, is a method of its own, called by its name; or a term of a method that is
        a mapping. Every student has a copy of it.

        Raises:
            ConfigError: it is no transfer loss, or has learned something already.
        """
        if isinstance(given, Mapping):
            given = [{"name": name, "terms": _listed(terms)} for name, terms in given.items()]
        if isinstance(given, str) or not isinstance(given, Sequence):
            given = given if isinstance(given, str | int | float | None) else [given]
        if isinstance(given, str | int | float | None):
            return given
        return [self._method(one) for one in given]

    def _method(self, one: Any) -> Any:
        if isinstance(one, Term | nn.Module) or inspect.isclass(one):
            return {"name": one.label if isinstance(one, Term) else _loss_name(one), "terms": [self._term(one)]}
        if isinstance(one, Mapping) and isinstance(one.get("terms"), list | tuple):
            return {**one, "terms": [self._term(term) for term in one["terms"]]}
        return one

    def _term(self, term: Any) -> Any:
        """A term as settings hold it."""
        if isinstance(term, nn.Module) or inspect.isclass(term):
            return {"loss": self._loss(term)}
        if not isinstance(term, Term):
            return term
        weight: Any = term.weight
        if isinstance(weight, Weight):
            weight = asdict(weight)
        elif isinstance(weight, Balanced):
            weight = f"auto={weight.share}"
        layers = [list(x) if isinstance(x, tuple) else x for x in (term.student, term.teacher)]
        rest = {"weight": weight, "student": layers[0], "teacher": layers[1], "name": term.name, "stages": term.stages}
        made = term.recipe or Recipe(self._loss(term.loss))
        found = {"loss": made.loss, "settings": dict(made.settings)}
        return found | {key: value for key, value in rest.items() if value is not None}

    def _loss(self, given: Any) -> str:
        """The name of a loss, or of a class of losses; what it is made of is part of it, for a run to be known by."""
        kind = given if inspect.isclass(given) else type(given)
        if not issubclass(kind, TransferLoss | WeightPenalty):
            raise ConfigError(
                f"{kind.__name__} is no transfer loss. Write class Mine(kantor.losses.TransferLoss) with name, "
                "default_weight, reads and forward(self, student, teacher, *, targets=None, ids=None), which may call "
                "it: docs/how-to/extend.md."
            )
        if inspect.isclass(given):
            return self._named(given, kind.__name__)
        if getattr(given, "built", None) is not None:
            raise ConfigError(f"{given.name} has been trained with: give a loss that has seen nothing.")
        return self._put(f"{_word(kind.__name__)}_{_made_of(given)}", given)

    def digest(self) -> str:
        """A few digits that tell objects apart: weights and arrays by what they hold, anything else by its name."""
        digest = hashlib.sha256()
        for name, given in sorted(self.objects.items()):
            digest.update(name.encode())
            if isinstance(given, nn.Module):
                digest.update(f"{given}{tensors_digest(given.state_dict())}".encode())
            elif isinstance(given, dict):
                for key, array in given.items():
                    digest.update(f"{key} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
            else:
                digest.update(f"{getattr(given, '__qualname__', given)}".encode())
        return digest.hexdigest()[:8]

    def _named(self, given: Any, label: str) -> str:
        return _importable(given) or self._put(_word(label), given)

    def _put(self, label: str, given: Any) -> str:
        name = object_name(label)
        if self.objects.get(name, given) is not given:
            raise ConfigError(f"Two objects are called {label!r}. Give each a name of its own.")
        self.objects[name] = given
        return name


def _listed(terms: Any) -> Any:
    return list(terms) if isinstance(terms, list | tuple) else [terms]


def _loss_name(given: Any) -> str:
    return str(getattr(given, "name", None) or getattr(given, "__name__", type(given).__name__))


def _made_of(loss: nn.Module) -> str:
    """A few digits that tell a loss from another of its class."""
    plain = {key: value for key, value in vars(loss).items() if isinstance(value, bool | int | float | str | tuple)}
    return hashlib.sha256(f"{loss}{plain}{tensors_digest(loss.state_dict())}".encode()).hexdigest()[:8]


def _importable(given: Any) -> str | None:
    """``package.module:name`` of what a module defines under that name at its top; None of anything else."""
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", "")
    if not (inspect.isfunction(given) or inspect.isclass(given)) or module in (None, "__main__") or "." in name:
        return None
    known = getattr(sys.modules.get(module), "__spec__", None) is not None  # something that an import would find
    return f"{module}:{name}" if known and getattr(sys.modules[module], name, None) is given else None


def _label(given: Any, otherwise: str) -> str:
    name = getattr(given, "__name__", None) or type(given).__name__
    return otherwise if name in ("<lambda>", "function", "partial") else name


def _word(text: str) -> str:
    """A text as a name of Python's."""
    word = re.sub(r"\W", "_", str(text))
    return f"_{word}" if word[:1].isdigit() or not word else word
