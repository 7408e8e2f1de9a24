"""Which student stage learns from which teacher stage."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kantor.capture.layers import Layer
from kantor.core.errors import ConfigError


@dataclass(frozen=True)
class Pair:
    """Two layers to compare, and why these.

    Attributes:
        student: path in the student.
        teacher: path in the teacher.
        reason: depths and resolutions, to be printed.
    """

    student: str
    teacher: str
    reason: str


def pair(student: Sequence[Layer], teacher: Sequence[Layer]) -> list[Pair]:
    """Pair stages, shallow to deep, without crossings; the last stages always pair.

    Every stage of the network with fewer of them gets one of the other's. Of all such pairings the one is taken whose
    stages differ least in depth and in the logarithm (to base 4) of their resolution.

    Args:
        student: its stages, shallow to deep (``stages``).
        teacher: the same for the teacher.

    Raises:
        ConfigError: one of them has no stages.
    """
    if not student or not teacher:
        raise ConfigError(
            f"Layers are paired from both networks' stages; the {'teacher' if student else 'student'} has none."
        )
    if len(student) <= len(teacher):
        matches = _match(student, teacher)
        pairs = [(layer, teacher[j]) for layer, j in zip(student, matches, strict=True)]
    else:
        matches = _match(teacher, student)
        pairs = [(student[j], layer) for layer, j in zip(teacher, matches, strict=True)]
    return [
        Pair(own.path, other.path, _reason(own, other, last=index == len(pairs) - 1))
        for index, (own, other) in enumerate(pairs)
    ]


def _match(few: Sequence[Layer], many: Sequence[Layer]) -> list[int]:
    """For each of the few an index into the many, rising, the last to the last, of least total distance."""
    best: dict[tuple[int, int], tuple[float, list[int]]] = {}
    for i, layer in enumerate(few):
        # As many must remain on either side as there are layers left to place.
        for j in range(i, len(many) - (len(few) - 1 - i)):
            before = [best[i - 1, k] for k in range(i - 1, j)] if i else [(0.0, [])]
            total, path = min(before, key=lambda option: option[0])
            best[i, j] = (total + _distance(layer, many[j]), [*path, j])
    return best[len(few) - 1, len(many) - 1][1]


def _distance(a: Layer, b: Layer) -> float:
    cells = math.log(max(a.cells, 1) / max(b.cells, 1), 4)
    return abs(a.depth - b.depth) + abs(cells) / 2


def _reason(student: Layer, teacher: Layer, *, last: bool) -> str:
    places = f"depth {student.depth:.2f} and {teacher.depth:.2f}, {_place(student)} and {_place(teacher)}"
    return f"the last stages; {places}" if last else places


def _place(layer: Layer) -> str:
    if layer.kind == "map":
        return "x".join(map(str, layer.grid))
    return f"{layer.shape[0]} tokens" if layer.kind == "tokens" else f"a vector of {layer.shape[0]}"
