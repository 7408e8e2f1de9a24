"""A reader of the user's own, ``package.module:open_it@setting=value``: a function that returns named arrays, or what
yields samples."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.core.imported import imported, is_path
from kantor.core.options import numbers_or_text, split_options, typed_options
from kantor.data.arrays import Arrays
from kantor.data.hugging_face import is_hugging_face, written
from kantor.data.yielded import arrays_of, yields

_REMEDY = (
    "Name a function that returns arrays by name, as an npz of kantor holds them, or what yields samples: a loader or "
    "a data set, or one for each part."
)


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


def read_own(name: str, image_size: int | None = None) -> Arrays | Path:
    """What a reader returns: arrays by name, as :func:`kantor.data.arrays.arrays_found` takes them, or a folder.

    It is called with its settings, each of the type that it is annotated with. Anything that numpy makes an array of
    will do, tensors on the CPU among it; and whatever yields samples, which are read once
    (:mod:`kantor.data.yielded`). A Hugging Face data set is written to a folder, and read from there as its files are.

    Args:
        name: ``package.module:open_it@setting=value``, or an object that a program handed over.
        image_size: side that images are resized to as they are read.

    Raises:
        ConfigError: nobody gave leave to import it (:mod:`kantor.core.trust`), it is not there, cannot be called, or
            has no such setting.
        DataError: it returned something else.
    """
    path, options = _taken_apart(name)
    reader = imported(path, "reader", _REMEDY, numbers_or_text(options))
    if callable(reader):
        return as_arrays(reader(**typed_options(reader, options, path)), f"{name} returned", name, image_size)
    if not (yields(reader) or isinstance(reader, Mapping | Path)) or options:
        raise ConfigError(f"{path} is {reader!r:.60}, which cannot be called. {_REMEDY}")
    return as_arrays(reader, f"{name} is", name, image_size)


def as_arrays(given: object, said: str, where: str, image_size: int | None = None) -> Arrays | Path:
    """Arrays by name of what a reader returned, or a folder that holds it.

    Args:
        given: arrays by name, or whatever yields samples.
        said: how it came here, as the beginning of a sentence.
        where: what to call it in messages.
        image_size: side that images are resized to as they are read.

    Raises:
        DataError: it is neither.
    """
    if isinstance(given, Path):
        return given
    if type(given).__name__ == "DataFrame":
        raise DataError(
            f"{said} a DataFrame: give its columns as arrays, {{'x': frame[[...]].to_numpy(), 'label': "
            "frame['label'].to_numpy()}, or its file: frame.to_csv('table.csv', index=False)."
        )
    if is_hugging_face(given):
        return written(given)
    if yields(given):
        return arrays_of(given, where, image_size)
    if not isinstance(given, Mapping) or not given:
        raise DataError(
            f"{said} {_said(given)}, and arrays by name are needed, as {{'x': ..., 'label': ...}}, or a loader or data "
            "set of samples."
        )
    return {str(key): _array(value, f"{where}, array {str(key)!r}") for key, value in given.items()}


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
