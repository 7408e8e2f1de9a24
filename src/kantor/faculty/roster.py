"""Who is in the faculty: teachers from a list of names or from ``teachers.yaml``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError, suggest
from kantor.core.objects import is_object
from kantor.core.reading import check_shape, read_text, read_yaml
from kantor.data.own import codes_of as data_codes
from kantor.data.views import ROLES
from kantor.models.builtin import BUILTIN
from kantor.models.spec import codes_of, of_folder, parse


class _Listed(TypedDict):
    """One teacher in YAML, where more than its model is said of it."""

    name: NotRequired[str]
    model: str
    weights: NotRequired[str]
    classes: NotRequired[str | list[str | int | float] | None]
    preprocess: NotRequired[dict[str, str | int | float] | None]
    data: NotRequired[str | None]
    view: NotRequired[str | None]


_KEYS = tuple(_Listed.__annotations__)


_FORM = f"It is a list of teachers, each a model's name or a mapping of {', '.join(_KEYS)}."


@dataclass(frozen=True)
class Entry:
    """One teacher as the user lists it."""

    name: str
    spec: str
    """For :func:`kantor.load`: a model with its weights."""
    classes: list[str] | None = None
    """Its class names, where its weights do not carry them."""
    data: str | None = None
    """Samples of its own task, for scores that need them."""
    view: str | None = None
    """What it sees of the data, and of its own, where that is not what the others see."""


def roster(given: str) -> list[Entry]:
    """Every teacher of ``teachers.yaml``, or of a list of names separated by commas.

    A name is NAME:FILE, a safetensors file that kantor wrote, or a student's folder, RUN/METHOD/seed-K. In YAML each
    teacher has name, model and weights (or model alone), and may have classes (a list, or a file with one a line),
    preprocess (``normalise`` and ``size``, as in a model's name), data (samples of its own task) and view (what it sees
    of the data: an array, a column, or a transform of the image). Paths in it start at its folder.

    Raises:
        ConfigError: an unknown key, a missing model, two teachers of one name, or no teacher at all; or the YAML names
            code that was not given leave for.
        DataError: the YAML or a file of class names cannot be read.
    """
    if Path(given).suffix in (".yaml", ".yml"):
        entries = _from_yaml(Path(given))
        codes = codes_of(entry.spec for entry in entries)
        codes += [code for entry in entries if entry.data is not None for code in data_codes(entry.data)]
        trust.found(codes, Path(given))
        trust.check(*codes)
    else:
        specs = [spec_of(text.strip()) for text in given.split(",") if text.strip()]
        trust.wrote(codes_of(specs))
        entries = [Entry(name, spec) for name, spec in zip(teacher_names(specs), specs, strict=True)]
    if not entries:
        raise ConfigError(f"{given!r} names no teacher.")
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Two teachers are called {name!r}; give one of them another name.")
    return entries


def spec_of(text: str) -> str:
    """A model's name, from a name or from the folder of a trained student.

    Raises:
        ConfigError: the folder holds no trained student.
    """
    spec = of_folder(text)
    if spec == text and Path(text).is_dir() and text not in BUILTIN:  # a folder here may be called resnet8
        raise ConfigError(f"{text} holds no trained student; give RUN/METHOD/seed-K.")
    return spec


def teacher_names(specs: list[str]) -> list[str]:
    """What teachers are called that have no name of their own: by their model, numbered where several share it."""
    names = [_short(spec) for spec in specs]
    return [f"{name}-{k + 1}" if names.count(name) > 1 else name for k, name in enumerate(names)]


def read_classes(given: str | Sequence[Any], folder: Path = Path()) -> list[str]:
    """Class names: a list, names separated by commas, or a file with one a line.

    Raises:
        DataError: the file is missing, empty, or no text in UTF-8.
    """
    if not isinstance(given, str):
        return [str(name) for name in given]
    path = folder / given
    if path.is_file():
        text = read_text(path, "Write it with one class a line, in UTF-8.")
        names = [line.strip() for line in text.splitlines() if line.strip()]
    elif "," in given:
        names = [name.strip() for name in given.split(",")]
    else:
        raise DataError(f"{given!r} is neither a file of class names, one a line, nor two names or more as A,B,C.")
    if not names:
        raise DataError(f"{path} names no class.")
    return names


def _short(spec: str) -> str:
    if Path(spec).suffix == ".safetensors" and ":" not in spec:
        path = Path(spec)
        # A student's file is called as every other's; its run and method say whose it is.
        return "-".join(path.parts[-4:-1]) if path.stem == "student" and len(path.parts) >= 4 else path.stem
    head, _, rest = spec.partition(":")
    if is_object(spec):
        return rest
    families = ("timm", "torchvision", "transformers")
    return (rest if head in families else head).partition(":")[0].partition("@")[0].rpartition("/")[2]


def _from_yaml(path: Path) -> list[Entry]:
    content = read_yaml(path, list[Any], _FORM)
    return [_entry(item, path, number) for number, item in enumerate(content, 1)]


def _entry(item: Any, path: Path, number: int) -> Entry:
    where = f"{path}, teacher {number}"
    if isinstance(item, str):
        return Entry(teacher_names([item])[0], spec_of(item))
    if not isinstance(item, dict) or "model" not in item:
        raise ConfigError(f"{where} has no model. {_FORM}")
    for key in item:
        if key not in _KEYS:
            raise ConfigError(f"{where} has an unknown key {key!r}. {suggest(str(key), _KEYS)}")
    check_shape(item, _Listed, where, _FORM)
    folder, spec = path.parent, item["model"]
    spec += "".join(f"@{key}={value}" for key, value in (item.get("preprocess") or {}).items())
    if "weights" in item:
        spec = f"{spec}:{_from(folder, str(item['weights']))}"
    elif (folder / spec).exists():
        spec = spec_of(str(folder / spec))
    elif ":" not in spec and Path(spec).suffix == ".safetensors":
        raise ConfigError(f"{where}: there is no file {folder / spec}. Paths in a list begin in its folder.")
    else:
        known = parse(spec)
        if known.weights is not None:
            spec = spec.replace(str(known.weights), _from(folder, str(known.weights)))
    classes = item.get("classes")
    return Entry(
        str(item.get("name") or teacher_names([spec])[0]),
        spec,
        None if classes is None else read_classes(classes, folder),
        None if item.get("data") is None else _from(folder, str(item["data"])),
        None if item.get("view") is None else str(item["view"]),
    )


def views_of(entries: Sequence[Entry], view: str | None) -> dict[str, str] | None:
    """What each role sees of the data, for :func:`kantor.data.open_data`; None where nobody chose.

    Args:
        entries: the teachers.
        view: of those that have none of their own, and of the student.

    Raises:
        ConfigError: some teachers have views of their own, and others none; or a teacher with one is called as a role.
    """
    own = [entry.view for entry in entries if entry.view is not None]
    if not own:
        return None if view is None else dict.fromkeys(ROLES, view)
    for entry in entries:
        if entry.name in ROLES:
            raise ConfigError(f"A teacher is called {entry.name!r}, as a role is: views need another name for it.")
        if entry.view is None and view is None:
            raise ConfigError(
                f"Teacher {entry.name} has no view, and others have: give it one, or --view for the rest."
            )
    seen = {entry.name: entry.view or view or "" for entry in entries}
    return seen if view is None else {"student": view} | seen


def _from(folder: Path, text: str) -> str:
    """A path that starts at ``folder``; a name that is no path there, like digits, stays."""
    return str(folder / text) if (folder / text).exists() else text


def classes_by_teacher(
    given: str | Sequence[str | float] | Mapping[str, str | Sequence[str | float] | None] | None, names: Sequence[str]
) -> dict[str, list[str]]:
    """Class names that the user gave (``teacher_classes``), by teacher.

    Args:
        given: a file with one a line, A,B,C or a list, for the one teacher there is; or a mapping of these by teacher.
        names: the teachers'.

    Raises:
        ConfigError: they are for a teacher that is not there, or it is not said for which.
        DataError: their file cannot be read.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(names) != 1:
            raise ConfigError(f"teacher_classes: say whose, as a mapping in YAML. Teachers: {', '.join(names)}.")
        given = {names[0]: given}
    for name in given:
        if name not in names:
            raise ConfigError(f"teacher_classes names no known teacher: {name!r}. {suggest(str(name), names)}")
    return {name: read_classes(classes) for name, classes in given.items() if classes is not None}
