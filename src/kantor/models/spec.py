"""A model's name, taken apart: ``NAME[@key=value]...[:WEIGHTS]``."""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kantor.core import trust
from kantor.core.errors import ConfigError, suggest
from kantor.core.files import is_file
from kantor.core.imported import is_path
from kantor.core.options import numbers_or_text, split_options
from kantor.models.builtin import BUILTIN

Family = Literal["builtin", "timm", "torchvision", "transformers", "python"]
FAMILIES = ("timm", "torchvision", "transformers")
_DRIVE = re.compile(r"(?<![^=:])([A-Za-z]):(?=[\\/])")


@dataclass(frozen=True)
class Spec:
    """A model's name, taken apart.

    Attributes:
        family: who makes the network.
        name: of the architecture; ``package.module:factory`` for a Python path.
        options: what was written with ``@``, as text.
        weights: the file, if one is named.
    """

    family: Family
    name: str
    options: dict[str, str] = field(default_factory=dict)
    weights: Path | None = None

    @property
    def architecture(self) -> str:
        """The name without the weights, as it can be written again."""
        head = f"{self.family}:{self.name}" if self.family in FAMILIES else self.name
        return head + "".join(f"@{key}={value}" for key, value in self.options.items())

    @property
    def choosing(self) -> dict[str, Any]:
        """The options that a factory of the user's own is called with; numbers as such, and the rest as text."""
        own = {key: text for key, text in self.options.items() if key not in ("normalise", "size")}
        return numbers_or_text(own)


def codes_of(names: Iterable[str]) -> list[str]:
    """The code that models' names ask for (:mod:`kantor.core.trust`); what is no name is refused where it is used."""
    found = []
    for name in names:
        with contextlib.suppress(ConfigError):
            spec = parse(name)
            if spec.family == "python":
                found.append(trust.code(spec.name, spec.choosing))
    return found


def parse(text: str) -> Spec:
    """Take a model's name apart.

    ``resnet8``, ``cnn@width=128``, ``resnet56:FILE``, ``timm:NAME``, ``torchvision:NAME@normalise=none:FILE``,
    ``transformers:NAME``, ``package.module:factory@depth=3:FILE``.

    Raises:
        ConfigError: an unknown name or a path where nothing is (says what is close), or an option that is not
            ``@key=value``.
    """
    head, _, rest = text.partition(":")
    name, options = split_options(head, text)
    if name in BUILTIN:
        return Spec("builtin", name, options, Path(rest) if rest else None)
    if name in FAMILIES or is_path(text):
        # The colon after the letter of a Windows drive separates nothing.
        inner, _, weights = _DRIVE.sub(r"\1\0", rest).partition(":")
        inner, weights = inner.replace("\0", ":"), weights.replace("\0", ":")
        inner, options = split_options(inner, text)
        if not inner:
            raise ConfigError(f"'{text}' names no model after '{head}:'.")
        file = Path(weights) if weights else None
        if name in FAMILIES:
            return Spec(name, inner, options, file)  # type: ignore[arg-type]
        return Spec("python", f"{head}:{inner}", options, file)
    # A name with a slash is a path where that begins with something that is there; else it may be a package's model.
    if Path(name).suffix in (".safetensors", ".pt", ".pth") or ("/" in name and Path(Path(name).parts[0]).exists()):
        raise ConfigError(_no_model_at(text))
    raise ConfigError(
        f"There is no model '{name}'. {suggest(name, [*BUILTIN, *(f'{family}:NAME' for family in FAMILIES)])} "
        "A model of your own is written package.module:factory."
    )


def of_folder(text: str) -> str:
    """The weights of a trained student, where the text is its folder, ``RUN/METHOD/seed-K``; else the text."""
    weights = Path(text) / "student.safetensors"
    return str(weights) if is_file(weights) else text


def _no_model_at(text: str) -> str:
    """Why a path is no model: nothing is there, or nothing says what network it is for."""
    path = Path(text)
    try:
        if path.is_dir():
            return f"{text} is a folder, and no trained student's: give RUN/METHOD/seed-K, or NAME:FILE."
        if path.exists():
            return f"{text} does not say what network it is for: write NAME:{text}, as in resnet20:{text}."
        there = next((parent for parent in path.parents if parent.is_dir()), Path())
        missing = path.relative_to(there).parts[0]
        if (there / missing).exists():
            return f"There is nothing at {text}: {there / missing} is a file."
        near = sorted(entry.name for entry in there.iterdir())
    except OSError as error:
        return f"{text} cannot be looked at: {error.strerror}."
    where = "here" if there == Path() else f"in {there}"
    close = [name for name in near if not name.startswith(".")][:1000]
    said = f"There is no file or folder {text}: {where} is no {missing}."
    return f"{said} {suggest(missing, close)}" if close else said
