"""Methods: what a student is trained with, from a string or from YAML.

A string is terms joined by ``+``. Each is ``NAME[@setting=value]...[:WEIGHT]``, the weight a number, ``auto`` or
``auto=SHARE``; ``@stages=3`` makes a term for each of the last three paired stages; ``task:WEIGHT`` sets the task's
weight, ``none`` is the task alone. The task weighs 1 and ``kd`` weighs 1 beside other terms; ``kd`` alone means task .1
and kd .9, the public benchmarks' settings.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import yaml

from kantor import losses
from kantor.core.errors import ConfigError
from kantor.core.names import check_name, folder_name
from kantor.core.reading import parse_yaml
from kantor.losses.settings import fitted
from kantor.objective import Balanced, Term, Weight
from kantor.objective.weights import LIMIT

_KD_ALONE = (0.1, 0.9)
PAPER = "paper"
"""In the place of a weight: the published one, or our default where there is none, held as it is."""


@dataclass(frozen=True)
class TermConfig:
    """One transfer term, before any network is known.

    Args:
        loss: a loss's name.
        settings: its settings.
        weight: a number; value, schedule, end, warmup and limit; auto or auto=SHARE, found at step 0 so that the term's
            gradient norm is that share of the task's; paper for the loss's default, held as it is; None for the same
            with a limit.
        student: layer path, or several; None lets the loss choose.
        teacher: the same, as NAME:PATH where there are several teachers.
        name: how logs call it; the loss's name if left out.
        stages: in the place of layers: one term for each of the last so many paired stages, or of all, each with this
            weight (:class:`kantor.objective.Term`).
        reason: why these layers, for the record.
    """

    loss: str
    settings: dict[str, Any] = field(default_factory=dict)
    weight: float | str | dict[str, Any] | None = None
    student: str | list[str] | None = None
    teacher: str | list[str] | None = None
    name: str | None = None
    stages: int | Literal["all"] | None = None
    reason: str = "as given"
    default: float | None = None
    """The default weight in this method; None for the loss's own."""

    def term(self) -> Term:
        """A fresh term, with a loss of its own.

        Raises:
            ConfigError: an unknown loss, setting or weight; stages of a loss that does not compare one layer with one.
        """
        loss = losses.named(self.loss, **self.settings)
        weight = self.weight
        if isinstance(weight, dict):
            if "value" not in weight:
                raise ConfigError(f"{self.loss}: a weight has value, schedule, end, warmup and limit; got {weight}.")
            weight = Weight(**fitted(f"{self.loss}: a weight", Weight, weight))
        if isinstance(weight, str):
            weight = _balanced(weight, self.loss)
        return Term(loss, self.student, self.teacher, weight, self.name, self.reason, self.stages)


@dataclass(frozen=True)
class Method:
    """A named way to train the student: the task's weight and the transfer terms."""

    name: str
    task: float
    terms: tuple[TermConfig, ...]
    start: str | None = None
    """Where its student starts; None for where the study says."""

    @property
    def transfers(self) -> bool:
        """Whether a term compares the student with a teacher."""
        return any(term.loss not in losses.PENALTIES for term in self.terms)

    def over(self, shares: Mapping[str, float]) -> "Method":
        """The same with several teachers: a term that names no teacher becomes one for each, with its share."""
        if len(shares) < 2:
            return self
        terms = []
        for term in self.terms:
            if term.teacher is not None or term.student is not None or term.loss in losses.PENALTIES:
                terms.append(term)
                continue
            terms += [
                replace(
                    term,
                    weight=_scaled(term, share),
                    teacher=f"{teacher}:",
                    name=f"{term.name or term.loss}.{teacher}",
                )
                for teacher, share in shares.items()
            ]
        return replace(self, terms=tuple(terms))

    def as_bound(self, bound: Sequence[Mapping[str, Any]]) -> "Method":
        """The same with its terms as step 0 bound them: one that names stages is one for each of them."""
        terms = (replace(self.terms[known["term"]], stages=None, name=known["name"]) for known in bound)
        return replace(self, terms=tuple(terms))

    @property
    def teaches_classifier(self) -> bool:
        """Whether the student's predictions learn: from labels, or from a term that reads logits."""
        return self.task > 0 or any("logits" in losses.LOSSES[term.loss].reads for term in self.terms)

    @property
    def folder(self) -> str:
        """The name as a folder."""
        return folder_name(self.name)


def parse_methods(
    given: str | list[str | dict[str, Any]], task_weight: float = 1.0, limit: float | None = LIMIT
) -> list[Method]:
    """Every method asked for, in order, its weights filled in.

    Args:
        given: strings separated by commas, or a list of strings and mappings with ``name``, ``task``, ``terms`` and
            ``start``.
        task_weight: the task's weight where a method does not say it; 0 for transfer without labels.
        limit: of transfer terms under their default weights (:class:`~kantor.objective.limits.Limits`); None for none.

    Raises:
        ConfigError: an unknown loss or setting, a weight that is no number, or a method named twice.
    """
    items: list[str | dict[str, Any]] = list(given.split(",")) if isinstance(given, str) else given
    if "" in (item.strip() for item in items if isinstance(item, str)):
        raise ConfigError(f"methods {given!r} has an empty name. For example: none,kd,neuron_transport.")
    methods = [
        _from_text(item.strip(), task_weight) if isinstance(item, str) else _from_mapping(item, task_weight)
        for item in items
    ]
    methods = [replace(method, terms=tuple(_weighed(term, limit) for term in method.terms)) for method in methods]
    if not methods:
        raise ConfigError("No methods are given. For example: none,kd,neuron_transport.")
    for method in methods:
        check_name(method.name, "A method")
        if not (math.isfinite(method.task) and method.task >= 0):
            raise ConfigError(f"Method {method.name}: the task's weight is zero or positive, not {method.task:g}.")
        if [m.folder for m in methods].count(method.folder) > 1:
            raise ConfigError(f"Method {method.name} is given twice.")
        for term in method.terms:
            if isinstance(term.weight, int | float) and not (math.isfinite(term.weight) and term.weight >= 0):
                raise ConfigError(
                    f"Method {method.name}: every loss is minimised, so the weight of {term.loss} is zero or positive, "
                    f"not {term.weight:g}."
                )
            term.term()  # a typo is an error now and not hours in
    return methods


def _from_text(text: str, task_weight: float) -> Method:
    if text == "none":
        return Method(text, task_weight, ())
    task: float | None = None
    terms: list[TermConfig] = []
    for piece in text.split("+"):
        head, _, weight = piece.partition(":")
        name, *settings = head.split("@")
        number: float | str | None = weight if weight.startswith("auto") else _number(weight, piece) if weight else None
        if name == "task":
            if not isinstance(number, float) or settings:
                raise ConfigError(f"{text!r}: the task's weight is written task:WEIGHT.")
            task = number
        elif name == "none":
            raise ConfigError(f"{text!r}: none stands alone; it is the student without transfer.")
        else:
            if PAPER in settings:
                if number is not None:
                    raise ConfigError(
                        f"{piece!r}: a weight and @{PAPER} both say how much it weighs. Give one of them."
                    )
                settings.remove(PAPER)
                number = PAPER
            given = dict(_setting(setting, piece) for setting in settings)
            if len(given) < len(settings):
                raise ConfigError(f"{piece!r}: a setting is given twice.")
            stages = given.pop("stages", None)
            if stages is None and "@stages" in head:
                raise ConfigError(f"{piece!r}: write how many stages, as @stages=3, or @stages=all.")
            terms.append(TermConfig(name, given, number, stages=stages))
    return _with_defaults(text, task, terms, task_weight)


def _from_mapping(item: dict[str, Any], task_weight: float) -> Method:
    if not isinstance(item, dict) or set(item) - {"name", "task", "terms", "start"} or "name" not in item:
        got = ", ".join(map(str, item)) if isinstance(item, dict) else repr(item)
        raise ConfigError(f"A method in YAML has name, task, terms and start; got {got}.")
    given = fitted(f"Method {item['name']}", _Given, item)
    terms = []
    for term in given.get("terms") or []:
        if "loss" not in term:
            raise ConfigError(
                f"Method {item['name']}: a term has loss, settings, weight, student, teacher, stages and name; got "
                f"{', '.join(term) or 'nothing'}."
            )
        terms.append(TermConfig(**fitted(f"Method {item['name']}: a term", TermConfig, term)))
    task = given.get("task")
    task = None if task is None else _number(str(task), "task")
    return replace(_with_defaults(str(given["name"]), task, terms, task_weight), start=given.get("start"))


@dataclass(frozen=True)
class _Given:
    """A method as YAML has it."""

    name: str | int | float
    task: float | str | None = None
    terms: list[dict[str, Any]] | None = None
    start: str | None = None


def _with_defaults(name: str, task: float | None, terms: list[TermConfig], task_weight: float) -> Method:
    alone = len(terms) == 1 and terms[0].loss == "kd" and terms[0].weight in (None, PAPER) and task is None
    if alone:
        return Method(name, task_weight * _KD_ALONE[0], (replace(terms[0], default=_KD_ALONE[1]),))
    return Method(name, task_weight if task is None else task, tuple(terms))


def _weighed(term: TermConfig, limit: float | None) -> TermConfig:
    """The term with a default weight written out, and its limit."""
    if term.weight not in (None, PAPER) or term.loss not in losses.LOSSES:
        return term
    value = losses.LOSSES[term.loss].default_weight if term.default is None else term.default
    limited = {} if limit is None or term.weight == PAPER else {"limit": limit}
    return replace(term, weight={"value": value, **limited} if limited else value)


def _scaled(term: TermConfig, share: float) -> float | str | dict[str, Any]:
    if isinstance(term.weight, dict):
        return {key: value * share if key in ("value", "end") else value for key, value in term.weight.items()}
    if isinstance(term.weight, str):
        return f"auto={share * _balanced(term.weight, term.loss).share}"
    assert term.weight is not None  # written out when it was parsed
    return share * term.weight


def _balanced(text: str, loss: str) -> Balanced:
    word, equals, share = text.partition("=")
    if word != "auto" or (equals and not share):
        raise ConfigError(f"{loss}: {text!r} is no weight; write a number, auto or auto=SHARE.")
    return Balanced(_number(share, text) if equals else 1.0)


def _setting(text: str, piece: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{piece!r}: a setting is written @name=value.")
    try:
        parsed = parse_yaml(value)
    except yaml.YAMLError:
        raise ConfigError(f"{piece!r}: {value!r} is no value. Write a number, a word, true or false.") from None
    if isinstance(parsed, str):  # such as inf, which YAML writes .inf
        with contextlib.suppress(ValueError):
            parsed = float(parsed)
    return key, parsed


def _number(text: str, piece: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{piece!r}: {text!r} is no weight; write a number, as in neuron_transport:20.") from None
