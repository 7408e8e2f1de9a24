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
from kantor.objective import Balanced, Term, Weight


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
        """A task: its name; a class of a module by its path; else the object."""
        return given if isinstance(given, str) else self._named(given, "task")

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


def methods_as_written(given: Any) -> Any:
    """Methods with terms as settings hold them: a :class:`~kantor.objective.Term` may stand among a method's.

    Raises:
        ConfigError: a term's loss was made as an object.
    """
    if isinstance(given, Mapping):
        given = [{"name": name, "terms": terms} for name, terms in given.items()]
    if isinstance(given, str) or not isinstance(given, Sequence):
        return given
    return [
        {**one, "terms": [_written(term) for term in one["terms"]]}
        if isinstance(one, Mapping) and isinstance(one.get("terms"), list | tuple)
        else one
        for one in given
    ]


def _written(term: Any) -> Any:
    if not isinstance(term, Term):
        return term
    if term.recipe is None:
        raise ConfigError(
            f"The loss of term {term.label} was given as an object, and every student needs one of its own: make the "
            f"term by kantor.Term.named({term.loss.name!r}, settings)."
        )
    weight: Any = term.weight
    if isinstance(weight, Weight):
        weight = asdict(weight)
    elif isinstance(weight, Balanced):
        weight = f"auto={weight.share}"
    layers = [list(x) if isinstance(x, tuple) else x for x in (term.student, term.teacher)]
    rest = {"weight": weight, "student": layers[0], "teacher": layers[1], "name": term.name, "stages": term.stages}
    found = {"loss": term.recipe.loss, "settings": dict(term.recipe.settings)}
    return found | {key: value for key, value in rest.items() if value is not None}


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
