"""From a term's names to layers that exist: which layer of the student meets which layer of the teacher."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from kantor.capture import Pair, pair, stages
from kantor.core.errors import ConfigError
from kantor.data import Batch
from kantor.losses.penalty import WeightPenalty
from kantor.objective.teachers import LiveTeacher, Teacher
from kantor.objective.terms import Bound, Term, resolved_weight, split_teacher
from kantor.objective.weights import Balanced


def bind(terms: Sequence[Term], student: nn.Module, teachers: Mapping[str, Teacher], batch: Batch) -> list[Bound]:
    """Resolve every term; layers that the user left out are proposed by depth and resolution.

    Raises:
        ConfigError: an unknown teacher, a layer given on one side only, a proposal asked of a cached teacher,
            or two terms of one name.
    """
    bound = [_bind(term, student, teachers, batch) for term in terms]
    names = [b.name for b in bound]
    for name in names:
        if names.count(name) > 1 or name == "task":
            raise ConfigError(f"Two terms are called {name!r}; give one of them another `name`.")
    return bound


def paired_stages(student: nn.Module, teacher: LiveTeacher, batch: Batch, *, by_position: bool = False) -> list[Pair]:
    """The stages of both networks, paired by depth and resolution, shallow to deep.

    Args:
        student: the student.
        teacher: the teacher.
        batch: what both see; two of its samples are shown to each.
        by_position: leave vectors out where both networks have stages with positions (maps, tokens).

    Raises:
        ConfigError: one of them has no hidden layer that can be read.
    """
    with torch.no_grad():
        sides = [
            stages(student, batch.inputs["student"][:2]),
            stages(teacher.network, teacher.sees(batch)[:2]),
        ]
    if by_position:
        wide = [[layer for layer in side if layer.kind != "vector"] for side in sides]
        sides = wide if all(wide) else sides
    return pair(*sides)


def _bind(term: Term, student: nn.Module, teachers: Mapping[str, Teacher], batch: Batch) -> Bound:
    if isinstance(term.loss, WeightPenalty):
        return _penalty(term)
    many = term.loss.reads == "stages"
    if term.student is None and (term.teacher is None or _only_a_name(term.teacher)):
        teacher = _teacher_name(term.teacher, teachers)
        student_layers, teacher_layers, reason = _propose(term, student, teachers[teacher], teacher, batch)
    elif term.student is None or term.teacher is None:
        raise ConfigError(f"{_label(term)}: name the layers of both student and teacher, or of neither.")
    else:
        student_layers = _several(term.student)
        split = [split_teacher(layer, list(teachers)) for layer in _several(term.teacher)]
        if len({name for name, _ in split}) != 1:
            raise ConfigError(f"{_label(term)}: one term reads one teacher. Give each teacher a term of its own.")
        teacher, teacher_layers, reason = split[0][0], tuple(path for _, path in split), term.reason
        if len(student_layers) != len(teacher_layers):
            raise ConfigError(
                f"{_label(term)}: {len(student_layers)} student layers ({', '.join(student_layers)}) meet "
                f"{len(teacher_layers)} teacher layers ({', '.join(teacher_layers)})."
            )
    if not many and len(student_layers) != 1:
        raise ConfigError(f"{_label(term)} compares one layer with one. Add a term per pair.")
    return Bound(
        name=_label(term),
        teacher=teacher,
        student_layers=student_layers,
        teacher_layers=teacher_layers,
        weight=resolved_weight(term),
        balance=term.weight.share if isinstance(term.weight, Balanced) else None,
        many=many,
        pooled=term.loss.pooled,
        reason=reason,
    )


def _penalty(term: Term) -> Bound:
    if term.student is not None or term.teacher is not None:
        raise ConfigError(f"{_label(term)} is on the student's weights: it takes no layers.")
    if isinstance(term.weight, Balanced):
        raise ConfigError(
            f"{_label(term)} hardly has a gradient where the student starts: give its weight as a number."
        )
    return Bound(_label(term), "", (), (), resolved_weight(term), None, False, False, "weights <- where they started")


def _propose(
    term: Term, student: nn.Module, source: Teacher, name: str, batch: Batch
) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    assert not isinstance(term.loss, WeightPenalty)
    if term.loss.reads in ("logits", "penultimate", "sequence_logits"):
        layer = "penultimate" if term.loss.reads == "penultimate" else "logits"
        return (layer,), (layer,), f"{term.loss.name} reads {layer}"
    if not isinstance(source, LiveTeacher):
        raise ConfigError(f"{_label(term)}: name its layers; a cached teacher ({name}) has no network to propose from.")
    pairs = paired_stages(student, source, batch, by_position=term.loss.by_position)
    if term.loss.reads == "feature":
        pairs = pairs[-1:]
    return (
        tuple(p.student for p in pairs),
        tuple(p.teacher for p in pairs),
        "; ".join(dict.fromkeys(p.reason for p in pairs)),
    )


def _only_a_name(teacher: str | Sequence[str]) -> bool:
    return isinstance(teacher, str) and teacher.endswith(":")


def _teacher_name(teacher: str | Sequence[str] | None, teachers: Mapping[str, Teacher]) -> str:
    if isinstance(teacher, str):
        return split_teacher(teacher, list(teachers))[0]
    if len(teachers) != 1:
        raise ConfigError(f"There are several teachers ({', '.join(teachers)}): say which, as teacher='NAME:'.")
    return next(iter(teachers))


def _several(layers: str | Sequence[str]) -> tuple[str, ...]:
    return (layers,) if isinstance(layers, str) else tuple(layers)


def _label(term: Term) -> str:
    return term.name or term.loss.name
