"""A ranking: what each teacher scored, who comes first and by how much, in words and in ``ranking.json``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.core.files import write_json
from kantor.core.reading import parse_json, read_text
from kantor.faculty.bootstrap import interval
from kantor.models.spec import codes_of

Interval = tuple[float, float] | None
Draws = Float[np.ndarray, " resamples"]


@dataclass
class Judged:
    """One teacher as it was judged."""

    name: str
    model: str
    """For :func:`kantor.load`, as the user gave it."""
    classes: list[str] | None = None
    """Its class names where the user gave them; None where its weights carry them."""
    view: str | None = None
    """What it saw of the data, where teachers see different things."""
    passes: int = 0
    """Forward passes spent on it now."""
    seconds: float = 0.0
    """Spent on its forward passes and scores."""
    scores: dict[str, float] = field(default_factory=dict)
    score_seconds: dict[str, float] = field(default_factory=dict)
    """Each score's, its bootstrap included."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why a score could not be had, by score."""
    error: str | None = None
    """Why it could not be judged at all."""

    @property
    def why_not(self) -> str:
        """Why it could not be judged, or not by some scores."""
        return self.error or "; ".join(f"{score}: {why}" for score, why in self.missing.items())


@dataclass(frozen=True)
class Place:
    """One teacher's place by one score."""

    teacher: str
    score: float
    interval: Interval
    margin: float | None
    """To the next teacher in the order; None for the last."""
    margin_interval: Interval
    """Paired: both were judged on the same resampled samples. It covers zero where chance could swap the two."""
    behind: float
    """How far behind the first."""
    behind_interval: Interval


@dataclass(frozen=True)
class Ranking:
    """What ``ranking.json`` holds."""

    data: str
    part: str
    samples: int
    label_cost: str
    scores: dict[str, list[Place]]
    """By score, best first; the first score decides."""
    teachers: list[Judged]
    recommendation: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> list[str]:
        """Teachers by the deciding score, best first."""
        return [place.teacher for place in next(iter(self.scores.values()), [])]

    def teacher(self, name: str) -> Judged:
        """The teacher called ``name``."""
        return next(teacher for teacher in self.teachers if teacher.name == name)

    def best(self, count: int = 1) -> list[Judged]:
        """The first ``count`` teachers.

        Raises:
            ConfigError: fewer are ranked.
        """
        if not 1 <= count <= len(self.order):
            raise ConfigError(f"The ranking holds {len(self.order)} teachers; the first {count} are asked for.")
        return [self.teacher(name) for name in self.order[:count]]

    def write(self, path: Path) -> None:
        """Keep it."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Ranking":
        """As it was kept.

        Raises:
            DataError: the file is missing or is no ranking.
        """
        remedy = "Give a ranking as `kantor rank` wrote it, or rank again."
        content = parse_json(read_text(path, remedy), str(path), cls, remedy)
        scores = {name: [Place(**place) for place in places] for name, places in content["scores"].items()}
        teachers = [Judged(**teacher) for teacher in content["teachers"]]
        ranking = cls(**{**content, "scores": scores, "teachers": teachers})
        known = {teacher.name for teacher in teachers}
        for place in (place for places in scores.values() for place in places):
            if place.teacher not in known:
                raise DataError(f"{path} ranks {place.teacher!r}, of which it says nothing else. {remedy}")
        models = [*(teacher.model for teacher in ranking.teachers), ranking.label_cost.partition(":")[2]]
        trust.found(codes_of(models), path)
        return ranking


def places(values: dict[str, float], draws: dict[str, Draws]) -> list[Place]:
    """Teachers by their score, best first, with margins.

    Args:
        values: score by teacher.
        draws: the score on resampled samples, paired between teachers.
    """
    order = sorted(values, key=lambda name: (-values[name], name))

    def gap(a: str, b: str) -> tuple[float, Interval]:
        difference = values[a] - values[b]
        return difference, None if a == b else interval(difference, draws[a] - draws[b])

    found = []
    for name, following in zip(order, [*order, None][1:], strict=True):
        margin, margin_interval = (None, None) if following is None else gap(name, following)
        found.append(
            Place(
                name,
                values[name],
                interval(values[name], draws[name]),
                margin,
                margin_interval,
                *gap(order[0], name),
            )
        )
    return found


def recommendation(places: Sequence[Place], score: str) -> str:
    """What a person should do: whom to pick, who is as good for all one can tell, who is worse and by how much."""
    if not places:
        return f"No teacher could be judged by {score}."
    best, *rest = places
    if not rest:
        return f"Pick {best.teacher}: it is the only one that could be judged by {score}."
    alike = [p for p in rest if p.behind_interval is None or p.behind_interval[0] <= 0]
    worse = [p for p in rest if p not in alike]
    said = [f"Pick {best.teacher} (by {score})"]
    if alike:
        verb = "is" if len(alike) == 1 else "are"
        said.append(f"{_list([p.teacher for p in alike])} {verb} not distinguishable from it")
    for p in worse[:5]:
        low, high = p.behind_interval or (p.behind, p.behind)
        said.append(f"{p.teacher} is worse by {p.behind:.3g} ({low:.3g} to {high:.3g})")
    if len(worse) > 5:
        said.append(f"so are {len(worse) - 5} more, by {worse[5].behind:.3g} and above")
    return "; ".join(said) + "."


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
