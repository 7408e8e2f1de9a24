"""From a term's names to layers that exist: which layer of the student meets which layer of the teacher."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from kantor.capture import Pair, call, capture, pair, stages
from kantor.capture.hooks import PENULTIMATE
from kantor.core.errors import ConfigError
from kantor.core.inputs import Inputs, rows
from kantor.core.modes import as_evaluated
from kantor.data import Batch
from kantor.losses.penalty import WeightPenalty
from kantor.objective.teachers import LiveTeacher, Teacher
from kantor.objective.terms import Bound, Term, resolved_weight, split_teacher
from kantor.objective.weights import Balanced

_FEW = slice(2)
"""Samples that layers are looked for on."""
_ONE_VECTOR = "what the classifier reads of all tokens"
"""Chosen where the student has tokens, whose mean is not what its classifier reads: held by the means of its blocks, a
small transformer in a short training under AdamW lost 14 points (docs/how-to/transformers-trainer.md)."""


def bind(terms: Sequence[Term], student: nn.Module, teachers: Mapping[str, Teacher], batch: Batch) -> list[Bound]:
    """Resolve every term; layers that the user left out are proposed by depth and resolution.

    Raises:
        ConfigError: an unknown teacher, a layer given on one side only, a proposal asked of a cached teacher,
            more stages than there are, or two terms of one name.
    """
    spread = [(place, one) for place, term in enumerate(terms) for one in _over(term, student, teachers, batch)]
    bound = [replace(_bind(term, student, teachers, batch), term=place) for place, term in spread]
    named = _told_apart(bound, [terms[place].name is not None for place, _ in spread])
    keys = [b.key for b in named]
    for b in named:
        if keys.count(b.key) > 1 or b.name == "task":
            raise ConfigError(f"Two terms are called {b.name!r}; give one of them another `name`.")
    return named


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
            stages(student, rows(batch.inputs["student"], _FEW)),
            stages(teacher.network, rows(teacher.sees(batch), _FEW)),
        ]
    if by_position:
        wide = [[layer for layer in side if layer.kind != "vector"] for side in sides]
        sides = wide if all(wide) else sides
    return pair(*sides)


def _over(term: Term, student: nn.Module, teachers: Mapping[str, Teacher], batch: Batch) -> list[Term]:
    """The term itself, or one for each of the stages that it names, or that its loss takes where nothing is said."""
    usual = _usual_stages(term)
    if term.stages is None and usual == 1:
        return [term]
    name = _teacher_name(term.teacher, teachers)
    assert not isinstance(term.loss, WeightPenalty)  # which a term refuses
    teacher = _live(term, name, teachers)
    pairs = paired_stages(student, teacher, batch, by_position=term.loss.by_position)
    if term.stages is None:
        if (
            not term.loss.by_position
            and _reads_one_vector(student, batch.inputs["student"], pairs[-1].student)
            and _reads_one_vector(teacher.network, teacher.sees(batch))
        ):
            return [replace(term, student=PENULTIMATE, teacher=f"{name}:{PENULTIMATE}", reason=_ONE_VECTOR)]
        pairs = _learning(student, batch, pairs[-usual:])
        if len(pairs) < 2:
            return [term]
    elif term.stages != "all":
        if term.stages > len(pairs):
            raise ConfigError(
                f"{term.loss.name}: {term.stages} stages are asked for, and {len(pairs)} pair: "
                f"{', '.join(f'{pair.student} <- {pair.teacher}' for pair in pairs)}."
            )
        pairs = pairs[-term.stages :]
    return [
        replace(
            term,
            loss=copy.deepcopy(term.loss),
            stages=None,
            student=pair.student,
            teacher=f"{name}:{pair.teacher}",
            name=f"{term.label}.{pair.student}",
            reason=pair.reason,
        )
        for pair in pairs
    ]


def _usual_stages(term: Term) -> int:
    """How many of the last stages a term compares where nobody says it: the loss's own number, while the weight is
    limited. A weight of one's own is of one stage, as published weights are."""
    if isinstance(term.loss, WeightPenalty) or term.names_layers or resolved_weight(term).limit is None:
        return 1
    return term.loss.usual_stages


def _reads_one_vector(network: nn.Module, inputs: Inputs, of_tokens: str | None = None) -> bool:
    """Whether the classifier reads one vector a sample, made of a stage's tokens where a stage is given."""
    few, paths = rows(inputs, _FEW), [PENULTIMATE] if of_tokens is None else [PENULTIMATE, of_tokens]
    try:
        with torch.no_grad(), as_evaluated(network), capture(network, paths) as taken:
            call(network, few)
            return taken[PENULTIMATE].ndim == 2 and (of_tokens is None or taken[of_tokens].ndim == 3)
    except ConfigError:
        return False  # its last layer is no nn.Linear


def _learning(student: nn.Module, batch: Batch, pairs: list[Pair]) -> list[Pair]:
    """Those whose layer of the student a gradient passes: what is frozen, and all before it, learns nothing."""
    few, paths = rows(batch.inputs["student"], _FEW), [pair.student for pair in pairs]
    with as_evaluated(student), torch.enable_grad(), capture(student, paths) as taken:
        call(student, few)
        return [pair for pair in pairs if taken[pair.student].requires_grad]


def _bind(term: Term, student: nn.Module, teachers: Mapping[str, Teacher], batch: Batch) -> Bound:
    if isinstance(term.loss, WeightPenalty):
        return _penalty(term)
    if not term.names_layers:
        teacher = _teacher_name(term.teacher, teachers)
        student_layers, teacher_layers, reason = _propose(term, student, teacher, teachers, batch)
    elif term.student is None or term.teacher is None:
        raise ConfigError(f"{term.label}: name the layers of both student and teacher, or of neither.")
    else:
        student_layers = _several(term.student)
        split = [split_teacher(layer, list(teachers)) for layer in _several(term.teacher)]
        if len({name for name, _ in split}) != 1:
            raise ConfigError(f"{term.label}: one term reads one teacher. Give each teacher a term of its own.")
        teacher, teacher_layers, reason = split[0][0], tuple(path for _, path in split), term.reason
        if len(student_layers) != len(teacher_layers):
            raise ConfigError(
                f"{term.label}: {len(student_layers)} student layers ({', '.join(student_layers)}) meet "
                f"{len(teacher_layers)} teacher layers ({', '.join(teacher_layers)})."
            )
    if term.loss.reads != "stages" and len(student_layers) != 1:
        raise ConfigError(f"{term.label} compares one layer with one. Add a term per pair.")
    return Bound(
        name=term.label,
        loss=term.loss,
        term=0,
        teacher=teacher,
        student_layers=student_layers,
        teacher_layers=teacher_layers,
        weight=resolved_weight(term),
        balance=term.weight.share if isinstance(term.weight, Balanced) else None,
        reason=reason,
    )


def _penalty(term: Term) -> Bound:
    if term.student is not None or term.teacher is not None:
        raise ConfigError(f"{term.label} is on the student's weights: it takes no layers.")
    if isinstance(term.weight, Balanced):
        raise ConfigError(f"{term.label} hardly has a gradient where the student starts: give its weight as a number.")
    reason = "weights <- where they started"
    return Bound(term.label, term.loss, 0, "", (), (), resolved_weight(term), None, reason)


def _propose(
    term: Term, student: nn.Module, name: str, teachers: Mapping[str, Teacher], batch: Batch
) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    assert not isinstance(term.loss, WeightPenalty)
    if term.loss.reads in ("logits", "penultimate", "sequence_logits"):
        layer = "penultimate" if term.loss.reads == "penultimate" else "logits"
        return (layer,), (layer,), f"{term.loss.name} reads {layer}"
    pairs = paired_stages(student, _live(term, name, teachers), batch, by_position=term.loss.by_position)
    if term.loss.reads == "feature":
        pairs = pairs[-1:]
    return (
        tuple(p.student for p in pairs),
        tuple(p.teacher for p in pairs),
        "; ".join(dict.fromkeys(p.reason for p in pairs)),
    )


def _live(term: Term, name: str, teachers: Mapping[str, Teacher]) -> LiveTeacher:
    teacher = teachers[name]
    if not isinstance(teacher, LiveTeacher):
        raise ConfigError(f"{term.label}: name its layers; a cached teacher ({name}) has no network to propose from.")
    return teacher


def _teacher_name(teacher: str | Sequence[str] | None, teachers: Mapping[str, Teacher]) -> str:
    if isinstance(teacher, str):
        return split_teacher(teacher, list(teachers))[0]
    if len(teachers) != 1:
        raise ConfigError(f"There are several teachers ({', '.join(teachers)}): say which, as teacher='NAME:'.")
    return next(iter(teachers))


def _several(layers: str | Sequence[str]) -> tuple[str, ...]:
    return (layers,) if isinstance(layers, str) else tuple(layers)


_DIFFERENCES: tuple[Callable[[Bound], str], ...] = (
    lambda b: "+".join(b.student_layers),
    lambda b: b.teacher,
    lambda b: f"{'+'.join(b.student_layers)}.{b.teacher}",
    lambda b: f"{'+'.join(b.student_layers)}.{b.teacher}.{'+'.join(b.teacher_layers)}",
)
"""What tells terms of one loss apart, the shortest first."""


def _told_apart(bound: list[Bound], given: list[bool]) -> list[Bound]:
    """Terms whose names were not given and would be the same get them by layer or by teacher."""
    found = []
    for b, own in zip(bound, given, strict=True):
        alike = [other for other in bound if other.name == b.name]
        by = next((by for by in _DIFFERENCES if len({by(other) for other in alike}) == len(alike)), None)
        found.append(replace(b, name=f"{b.name}.{by(b)}") if len(alike) > 1 and by and not own else b)
    return found
