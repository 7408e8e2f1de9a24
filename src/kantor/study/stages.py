"""Several layers at once: a term that names ``stages`` becomes one for each of them, once the networks are known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kantor import losses
from kantor.core.errors import ConfigError
from kantor.data import Batch
from kantor.losses.base import TransferLoss
from kantor.models import Model
from kantor.objective import LiveTeacher
from kantor.objective.binding import paired_stages
from kantor.objective.terms import split_teacher
from kantor.study.methods import Method, TermConfig


def spread(
    method: Method, student: Model, teachers: Mapping[str, LiveTeacher], batch: Batch
) -> tuple[Method, list[int]]:
    """The method with its terms over stages spread, and for each of its terms now which one it was.

    Raises:
        ConfigError: the networks have fewer paired stages than a term names.
    """
    found = [(place, one) for place, term in enumerate(method.terms) for one in _over(term, student, teachers, batch)]
    return replace(method, terms=tuple(term for _, term in found)), [place for place, _ in found]


def as_bound(method: Method, bound: Sequence[Mapping[str, Any]]) -> Method:
    """The same from what step 0 decided, where no network is at hand."""
    return replace(
        method,
        terms=tuple(replace(method.terms[known["term"]], stages=None, name=known["name"]) for known in bound),
    )


def _over(term: TermConfig, student: Model, teachers: Mapping[str, LiveTeacher], batch: Batch) -> list[TermConfig]:
    if term.stages is None:
        return [term]
    name = split_teacher(str(term.teacher or ""), list(teachers))[0]
    loss = losses.named(term.loss, **term.settings)
    assert isinstance(loss, TransferLoss)  # a penalty takes no stages, which its method has checked
    pairs = paired_stages(student, teachers[name], batch, by_position=loss.by_position)
    if term.stages != "all":
        if term.stages > len(pairs):
            raise ConfigError(
                f"{term.loss}: {term.stages} stages are asked for, and {len(pairs)} pair: "
                f"{', '.join(f'{pair.student} <- {pair.teacher}' for pair in pairs)}."
            )
        pairs = pairs[-term.stages :]
    label = term.name or term.loss
    return [
        replace(
            term,
            stages=None,
            student=pair.student,
            teacher=f"{name}:{pair.teacher}",
            name=f"{label}.{pair.student}",
            reason=pair.reason,
        )
        for pair in pairs
    ]
