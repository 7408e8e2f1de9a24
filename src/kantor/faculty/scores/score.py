"""A score by its name, and one of the user's own, ``package.module:score``."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from numbers import Real

from jaxtyping import Float, Int
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.core.imported import imported
from kantor.faculty.scores.evidence import Evidence

_REMEDY = "Name a function of what it looks at, as score(features, labels), or a kantor.faculty.scores.Score."
_ALWAYS = ("labels", "classes")
"""What no evidence lacks."""


@dataclass(frozen=True)
class Score:
    """A score by its name.

    Args:
        name: as ``--scores`` writes it.
        needs: fields of the evidence without which it cannot be.
        source: paper.
        of: its value.
        samples: its value per sample, where it is a mean over samples.
    """

    name: str
    needs: tuple[str, ...]
    source: str
    of: Callable[[Evidence], float]
    samples: Callable[[Evidence], Float[Tensor, " samples"]] | None = None
    many: Callable[[Evidence, Int[Tensor, "draws samples"]], Float[Tensor, " draws"]] | None = None
    """Its values on many draws of the samples at once, where that is faster than one by one."""
    numbers: bool = False
    """Whether labels may be numbers too; otherwise they are classes."""

    def missing(self, evidence: Evidence) -> list[str]:
        """What it needs and the evidence lacks."""
        return [name for name in self.needs if getattr(evidence, name) is None]


def own_score(path: str, built_in: Iterable[str]) -> Score:
    """The score that a path names: a :class:`Score`, or a function.

    A function asks for what it looks at by the names of its parameters, which are fields of
    :class:`~kantor.faculty.scores.Evidence`, and returns a number that is higher for a better teacher.

    Args:
        path: ``package.module:score``.
        built_in: scores that could have been meant.

    Raises:
        ConfigError: nobody gave leave to import it (:mod:`kantor.core.trust`), it is not there, is no score, or asks
            for what there is not.
    """
    found = imported(path, "score", _REMEDY, built_in=built_in)
    if isinstance(found, Score):
        return replace(found, name=path)
    if inspect.isclass(found) or not callable(found):
        raise ConfigError(f"{path} is no score. {_REMEDY}")
    known = [field.name for field in fields(Evidence)]
    asked = []
    for parameter in inspect.signature(found).parameters.values():
        if parameter.name in known and parameter.kind is not parameter.POSITIONAL_ONLY:
            asked.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise ConfigError(f"{path} asks for {str(parameter)!r}. A score may ask for {', '.join(known)}.")

    def value(evidence: Evidence) -> float:
        number = found(**{name: getattr(evidence, name) for name in asked})
        if not (isinstance(number, Real) or (isinstance(number, Tensor) and number.numel() == 1)):
            raise ConfigError(f"{path} returned {number!r:.60}, and a number is needed.")
        return float(number)  # type: ignore[arg-type]

    return Score(path, tuple(name for name in asked if name not in _ALWAYS), "", value, numbers=True)
