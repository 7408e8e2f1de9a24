"""Reading back what kantor or a user wrote: JSON and YAML from files, each checked against the shape it must have.

A file may be empty, cut off, of another encoding or of another program, or made to hang who reads it. What comes
through here is of the shape that was asked for; anything else is an error that names the file, what is wrong, and a
remedy.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from kantor.core.errors import DataError
from kantor.core.shape import Misfit, fitted

_Kind = TypeVar("_Kind")

DAMAGED = "Delete it and `kantor resume` the run."
"""What to do where something was damaged that training writes again."""
_DEEPEST, _LARGEST = 40, 100_000
"""Levels and entries that a document may have, those that aliases repeat counted each time."""


def read_json(path: Path, shape: Any = dict[str, Any], remedy: str = DAMAGED) -> Any:
    """What a JSON file says.

    Args:
        path: of the file.
        shape: the type it must be of (:func:`kantor.core.shape.fitted`).
        remedy: what to do where it was damaged since, a sentence.

    Returns:
        The content as it was read; an empty mapping where the file is not there.

    Raises:
        DataError: it cannot be read, is not JSON, or is of another shape.
    """
    if not path.exists():
        return {}
    return parse_json(read_text(path, remedy), str(path), shape, remedy)


def parse_json(text: str, source: str, shape: Any = dict[str, Any], remedy: str = DAMAGED) -> Any:
    """What a JSON text says; see :func:`read_json`.

    Args:
        source: what the text is called in messages.
    """
    if not text.strip():
        raise DataError(f"{source} is empty. {remedy}")
    try:
        content = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is not valid JSON ({_said(error)}). {remedy}") from None
    return check_shape(content, shape, source, remedy)


def read_yaml(path: Path, shape: Any, remedy: str) -> Any:
    """What a YAML file says; see :func:`read_json`.

    Raises:
        DataError: it is not there, cannot be read, is not YAML (:func:`parse_yaml`), or is of another shape.
    """
    text = read_text(path, remedy)
    try:
        content = parse_yaml(text)
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not valid YAML ({_said(error)}). {remedy}") from None
    if content is None:
        raise DataError(f"{path} is empty. {remedy}")
    return check_shape(content, shape, str(path), remedy)


def read_text(path: Path, remedy: str) -> str:
    """The text of a UTF-8 file.

    Raises:
        DataError: it is not there, cannot be opened, or is of another encoding.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {remedy}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8 (byte {error.start} is none). {remedy}") from None


def check_shape(content: _Kind, shape: Any, source: str, remedy: str) -> _Kind:
    """The content, if it is of the shape.

    Raises:
        DataError: it is not; names the place in it.
    """
    try:
        return fitted(content, shape)
    except Misfit as error:
        raise DataError(f"{source} cannot be used: {error}. {remedy}") from None


def parse_yaml(text: str) -> Any:
    """The content of one YAML document: plain values, as ``yaml.safe_load`` gives them, but ``1e-3`` is a number and a
    date is text.

    Raises:
        YAMLError: it is not YAML; it is too deep, or too large once its aliases are followed; or a mapping has a key
            twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (RecursionError, ValueError, TypeError) as error:
        raise yaml.YAMLError(_said(error)) from None


class _Loader(yaml.SafeLoader):
    """Refuses what a person would not write: see :func:`parse_yaml`."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {_DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None and _size(node, {}) > _LARGEST:
            raise yaml.YAMLError(f"its aliases stand for more than {_LARGEST:,} entries")
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        known: set[Any] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            name = getattr(key, "value", None)
            if isinstance(name, str) and (key.tag, name) in known and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.YAMLError(f"the key {name!r} is given twice{key.start_mark}")
            if isinstance(name, str):
                known.add((key.tag, name))
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes what :class:`_Loader` would read as something else than text."""


def dump_yaml(content: Any) -> str:
    """Plain values as YAML, in their order; :func:`parse_yaml` gives them back."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)


def _plain_scalars() -> None:
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    left_out = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")
    _Loader.yaml_implicit_resolvers = _Dumper.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in known if tag not in left_out] for first, known in resolvers.items()
    }
    number = r"[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*(?:[eE][-+]?\d+)?)"
    form = re.compile(rf"^(?:{number}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
    for first in "-+0123456789.":
        _Loader.yaml_implicit_resolvers.setdefault(first, []).append(("tag:yaml.org,2002:float", form))


_plain_scalars()
# numpy's numbers and text are kinds of Python's, which YAML knows by their very class alone.
_Dumper.add_multi_representer(float, lambda dumper, value: dumper.represent_float(float(value)))
_Dumper.add_multi_representer(str, lambda dumper, value: dumper.represent_str(str(value)))


def _size(node: Any, known: dict[int, int]) -> int:
    """Entries below a node, what aliases repeat counted each time."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = _LARGEST + 1  # while it is open: a node that holds itself has no end
    parts = (part for pair in node.value for part in pair) if isinstance(node, yaml.MappingNode) else node.value
    size = 1 if isinstance(node, yaml.ScalarNode) else 1 + sum(_size(part, known) for part in parts)
    known[id(node)] = size
    return size


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is given twice")
        found[key] = value
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _said(error: BaseException) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
