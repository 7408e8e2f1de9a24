"""Terms: a transfer loss bound to a layer of the student and a layer of a teacher."""

from collections.abc import Sequence
from dataclasses import dataclass

from kantor.core.errors import ConfigError, suggest
from kantor.losses.base import TransferLoss
from kantor.losses.penalty import WeightPenalty
from kantor.objective.weights import Balanced, Weight


@dataclass
class Term:
    """A loss, the layers it compares, and its weight.

    Args:
        loss: the transfer loss, or a penalty on the student's weights, which takes no layers. Its state belongs to
            this term: give each term its own.
        student: module path of the student's layer, ``logits`` or ``penultimate``; a sequence of them for a loss
            over several layers; None lets the loss choose (its ``reads``).
        teacher: the same for the teacher, as ``NAME:PATH``; ``NAME:`` is left out when there is one teacher.
        weight: the term's weight; None takes the loss's default, Balanced finds it at step 0.
        name: how the term is called in logs; the loss's name if left out.
        reason: why these layers are compared, for the print at step 0; where they are left out, it says itself.
    """

    loss: TransferLoss | WeightPenalty
    student: str | Sequence[str] | None = None
    teacher: str | Sequence[str] | None = None
    weight: float | Weight | Balanced | None = None
    name: str | None = None
    reason: str = "as given"


@dataclass(frozen=True)
class Bound:
    """A term whose names are resolved: which teacher, which module paths, which weight."""

    name: str
    teacher: str
    student_layers: tuple[str, ...]
    teacher_layers: tuple[str, ...]
    weight: Weight
    balance: float | None
    """Share of the task's gradient norm that ``weight`` is set to give at step 0; None where it was given."""
    many: bool
    """The loss takes a tuple of layers, even of one."""
    pooled: bool
    """The loss sees maps only through their mean over positions."""
    reason: str
    """Why these layers were paired."""


def split_teacher(layer: str, teachers: Sequence[str]) -> tuple[str, str]:
    """``NAME:PATH`` as (name, path); the name may be left out when there is one teacher.

    Raises:
        ConfigError: no teacher has that name, or the name is missing and there are several.
    """
    name, colon, path = layer.partition(":")
    if colon:
        if name not in teachers:
            raise ConfigError(f"Layer {layer!r} names no known teacher. {suggest(name, teachers)}")
        return name, path
    if len(teachers) != 1:
        raise ConfigError(f"Layer {layer!r}: say whose it is, as NAME:PATH. Teachers: {', '.join(teachers)}.")
    return teachers[0], layer


def resolved_weight(term: Term) -> Weight:
    """The term's weight, the loss's default where none is given (or is to be found)."""
    if term.weight is None or isinstance(term.weight, Balanced):
        return Weight(term.loss.default_weight)
    return term.weight if isinstance(term.weight, Weight) else Weight(float(term.weight))
