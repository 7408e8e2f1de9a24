"""A reader of the user's own, ``package.module:open_it@setting=value``: a function that returns named arrays."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.core.imported import imported, is_path
from kantor.core.options import numbers_or_text, split_options, typed_options
from kantor.data.arrays import Arrays

_REMEDY = "Name a function that returns arrays by name, as an npz of kantor holds them."


def is_reader(name: str) -> bool:
    """Whether data is named by a reader of the user's own: it is no file, and a path of Python."""
    return is_path(name) and not Path(name).exists()


def codes_of(name: str) -> list[str]:
    """The code that a data set's name asks for (:mod:`kantor.core.trust`)."""
    if not is_reader(name):
        return []
    path, options = _taken_apart(name)
    return [trust.code(path, numbers_or_text(options))]


def short_name(name: str) -> str:
    """What a run on this data may be called: the reader's name, or the file's without its ending."""
    return _taken_apart(name)[0].partition(":")[2] if is_reader(name) else Path(name).stem


def read_own(name: str) -> Arrays:
    """What a reader returns: arrays by name, as :func:`kantor.data.arrays.arrays_found` takes them.

    It is called with its settings, each of the type that it is annotated with. Anything that numpy makes an array of
    will do, tensors on the CPU among it.

    Args:
        name: ``package.module:open_it@setting=value``.

    Raises:
        ConfigError: nobody gave leave to import it (:mod:`kantor.core.trust`), it is not there, cannot be called, or
            has no such setting.
        DataError: it returned something else.
    """
    path, options = _taken_apart(name)
    reader = imported(path, "reader", _REMEDY, numbers_or_text(options))
    if not callable(reader):
        raise ConfigError(f"{path} is {reader!r:.60}, which cannot be called. {_REMEDY}")
    found = reader(**typed_options(reader, options, path))
    if not isinstance(found, Mapping) or not found:
        raise DataError(
            f"{name} returned {_said(found)}, and arrays by name are needed, as {{'x': ..., 'label': ...}}."
        )
    return {str(key): _array(value, f"{name}, array {str(key)!r}") for key, value in found.items()}


def _taken_apart(name: str) -> tuple[str, dict[str, str]]:
    module, _, rest = name.partition(":")
    reader, options = split_options(rest, name)
    return f"{module}:{reader}", options


def _array(value: object, where: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever the user's own object raises
        raise DataError(f"{where} is {_said(value)}, of which numpy makes no array: {error}.") from error
    if array.dtype.kind not in "biufUS":
        raise DataError(f"{where} is {_said(value)} of type {array.dtype}; give numbers, or text.")
    return array


def _said(value: object) -> str:
    return "nothing" if value is None else "an empty mapping" if value == {} else f"a {type(value).__name__}"
