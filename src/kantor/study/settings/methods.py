"""Methods: what a student is trained with, from a string or from YAML.

A string is terms joined by ``+``. Each is ``NAME[@setting=value]...[:WEIGHT]``, the name a built-in or a class of the
user's own, ``package.module:MyLoss``, the weight a number, ``auto`` or ``auto=SHARE``; ``@stages=3`` makes a term for
each of the last three paired stages; ``task:WEIGHT`` sets the task's weight, ``none`` is the task alone. The task
weighs 1 and ``kd`` weighs 1 beside other terms; ``kd`` alone means task .1 and kd .9, the public benchmarks' settings.
"""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import yaml

from kantor import losses
from kantor.core.errors import ConfigError
from kantor.core.imported import is_path
from kantor.core.names import check_name, folder_name
from kantor.core.reading import parse_yaml
from kantor.losses import LOSSES, PENALTIES, TransferLoss, WeightPenalty
from kantor.losses.settings import fitted
from kantor.objective import Balanced, Term, Weight
from kantor.objective.terms import PAPER
from kantor.objective.weights import LIMIT

_KD_ALONE = (0.1, 0.9)


@dataclass(frozen=True)
class Method:
    """A named way to train the student: the task's weight and the transfer terms."""

    name: str
    task: float
    terms: tuple[Term, ...]
    """Each made by name, and so to be made :meth:`~kantor.objective.Term.fresh` for every student."""
    start: str | None = None
    """Where its student starts; None for where the study says."""

    @property
    def transfers(self) -> bool:
        """Whether a term compares the student with a teacher."""
        return any(isinstance(term.loss, TransferLoss) for term in self.terms)

    def over(self, shares: Mapping[str, float]) -> "Method":
        """The same with several teachers: a term that names no teacher becomes one for each, with its share."""
        if len(shares) < 2:
            return self
        terms = []
        for term in self.terms:
            if term.teacher is not None or term.student is not None or isinstance(term.loss, WeightPenalty):
                terms.append(term)
                continue
            terms += [
                replace(
                    term,
                    weight=_scaled(term, share),
                    teacher=f"{teacher}:",
                    name=f"{term.label}.{teacher}",
                )
                for teacher, share in shares.items()
            ]
        return replace(self, terms=tuple(terms))

    @property
    def teaches_classifier(self) -> bool:
        """Whether the student's predictions learn: from labels, or from a term that reads logits."""
        return self.task > 0 or any(
            isinstance(term.loss, TransferLoss) and "logits" in term.loss.reads for term in self.terms
        )

    @property
    def folder(self) -> str:
        """The name as a folder."""
        return folder_name(self.name)


def parse_methods(
    given: str | list[str | dict[str, Any]],
    task_weight: float = 1.0,
    limit: float | Literal["auto"] | None = LIMIT,
    *,
    of_weighted_task: bool = False,
) -> list[Method]:
    """Every method asked for, in order, its weights filled in.

    Args:
        given: strings separated by commas, or a list of strings and mappings with ``name``, ``task``, ``terms`` and
            ``start``.
        task_weight: the task's weight where a method does not say it; 0 for transfer without labels.
        limit: of transfer terms under their default weights (:class:`~kantor.objective.limits.Limits`); ``"auto"`` for
            what the optimiser asks for, where it is not known yet; None for none.
        of_weighted_task: the limit is a multiple of the task's gradient under the task's weight in the method, not
            under weight 1: for optimisers whose steps have one length, where the ratio of gradients alone counts.

    Raises:
        ConfigError: an unknown loss or setting, a weight that is no number, or a method named twice.
    """
    methods = [_Defaults(task_weight, limit, of_weighted_task).method(written) for written in written_methods(given)]
    if not methods:
        raise ConfigError("No methods are given. For example: none,kd,neuron_transport.")
    for method in methods:
        if not (math.isfinite(method.task) and method.task >= 0):
            raise ConfigError(f"Method {method.name}: the task's weight is zero or positive, not {method.task:g}.")
        for term in method.terms:
            if isinstance(term.weight, int | float) and not (math.isfinite(term.weight) and term.weight >= 0):
                raise ConfigError(
                    f"Method {method.name}: every loss is minimised, so the weight of {term.loss.name} is zero or "
                    f"positive, not {term.weight:g}."
                )
    return methods


def written_methods(given: str | list[str | dict[str, Any]]) -> "list[Written]":
    """Every method as it was written, in order: no loss is looked up, and nothing is imported.

    Raises:
        ConfigError: something is of no form that a method has; a name is no folder's, or there twice.
    """
    items: list[str | dict[str, Any]] = list(given.split(",")) if isinstance(given, str) else given
    if "" in (item.strip() for item in items if isinstance(item, str)):
        raise ConfigError(f"methods {given!r} has an empty name. For example: none,kd,neuron_transport.")
    methods = [_from_text(item.strip()) if isinstance(item, str) else _from_mapping(item) for item in items]
    folders = [folder_name(method.name) for method in methods]
    for method, folder in zip(methods, folders, strict=True):
        check_name(method.name, "A method")
        if folders.count(folder) > 1:
            raise ConfigError(f"Method {method.name} is given twice.")
    return methods


def codes_of(given: str | list[str | dict[str, Any]]) -> list[str]:
    """The code that methods ask for (:mod:`kantor.core.trust`); what is no method is refused where it is used."""
    try:
        terms = [term for method in written_methods(given) for term in method.terms]
    except ConfigError:
        return []
    return [code for term in terms for code in losses.codes_of(term.loss, term.settings)]


@dataclass(frozen=True)
class WrittenTerm:
    """A term as text or YAML has it: its weight a number, ``auto``, ``auto=SHARE``, ``paper``, or a mapping of a
    :class:`~kantor.objective.Weight`'s settings."""

    loss: str
    settings: dict[str, Any] = field(default_factory=dict)
    weight: float | str | dict[str, Any] | None = None
    student: str | list[str] | None = None
    teacher: str | list[str] | None = None
    name: str | None = None
    stages: int | Literal["all"] | None = None
    reason: str = "as given"

    def made(self) -> Term:
        """The term, with a loss of its own.

        Raises:
            ConfigError: an unknown loss, setting or weight; or see :class:`~kantor.objective.Term`.
        """
        return Term.made(
            self.loss,
            self.settings,
            student=self.student,
            teacher=self.teacher,
            weight=_weight(self.weight, self.loss),
            name=self.name,
            reason=self.reason,
            stages=self.stages,
        )


@dataclass(frozen=True)
class Written:
    """A method as text or YAML has it."""

    name: str
    task: float | None
    terms: tuple[WrittenTerm, ...]
    start: str | None = None


@dataclass(frozen=True)
class _Defaults:
    """Weights where a method does not say them."""

    task: float
    limit: float | Literal["auto"] | None
    of_weighted_task: bool

    def method(self, written: Written) -> Method:
        """The method with its losses made and its weights written out."""
        terms, task = [term.made() for term in written.terms], written.task
        alone = [term.loss for term in written.terms] == ["kd"] and terms[0].weight in (None, PAPER) and task is None
        task = self.task * (_KD_ALONE[0] if alone else 1.0) if task is None else task
        weighed = [self._weighed(t, _KD_ALONE[1] if alone else t.loss.default_weight, task) for t in terms]
        return Method(written.name, task, tuple(weighed), written.start)

    def _weighed(self, term: Term, value: float, task: float) -> Term:
        if term.weight not in (None, PAPER) or isinstance(term.loss, WeightPenalty):
            return term
        limit = None if term.weight == PAPER else self.limit
        if isinstance(limit, int | float) and self.of_weighted_task:
            limit = limit * task or None  # without a task there is nothing to measure by
        return replace(term, weight=Weight(value, limit=limit))


def _from_text(text: str) -> Written:
    if text == "none":
        return Written(text, None, ())
    task: float | None = None
    terms: list[WrittenTerm] = []
    for piece in text.split("+"):
        term = _term_from_text(piece)
        if term.loss == "task":
            if not isinstance(term.weight, float) or term.settings:
                raise ConfigError(f"{text!r}: the task's weight is written task:WEIGHT.")
            task = term.weight
        elif term.loss == "none":
            raise ConfigError(f"{text!r}: none stands alone; it is the student without transfer.")
        else:
            terms.append(term)
    return Written(text, task, tuple(terms))


def _term_from_text(piece: str) -> WrittenTerm:
    """``NAME[@setting=value]...[:WEIGHT]``."""
    name, settings, weight = _taken_apart(piece)
    number: float | str | None = weight if weight.startswith("auto") else _number(weight, piece) if weight else None
    if PAPER in settings:
        if number is not None:
            raise ConfigError(f"{piece!r}: a weight and @{PAPER} both say how much it weighs. Give one of them.")
        settings.remove(PAPER)
        number = PAPER
    given = dict(_setting(setting, piece) for setting in settings)
    if len(given) < len(settings):
        raise ConfigError(f"{piece!r}: a setting is given twice.")
    stages = given.pop("stages", None)
    if stages is None and "@stages" in piece:
        raise ConfigError(f"{piece!r}: write how many stages, as @stages=3, or @stages=all.")
    return WrittenTerm(name, given, number, stages=stages)


def _taken_apart(piece: str) -> tuple[str, list[str], str]:
    """``NAME[@setting=value]...[:WEIGHT]`` as name, settings and weight.

    ``kd:auto`` and ``kd:inf`` say a weight, and ``my_losses:Mine`` a class: built-in names and words for weights win.
    """
    head, _, rest = piece.partition(":")
    inner, _, weight = rest.partition(":")
    thing, *settings = inner.split("@")
    if is_path(piece) and head not in (*LOSSES, *PENALTIES, "task", "none") and not _is_weight(thing):
        return f"{head}:{thing}", settings, weight
    name, *settings = head.split("@")
    return name, settings, rest


def _is_weight(text: str) -> bool:
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return text == "auto"


def _from_mapping(item: dict[str, Any]) -> Written:
    if not isinstance(item, dict) or set(item) - {"name", "task", "terms", "start"} or "name" not in item:
        got = ", ".join(map(str, item)) if isinstance(item, dict) else repr(item)
        raise ConfigError(f"A method in YAML has name, task, terms and start; got {got}.")
    given = fitted(f"Method {item['name']}", _Given, item)
    terms = []
    for term in given.get("terms") or []:
        if isinstance(term, str):
            if "+" in term or _taken_apart(term)[0] in ("none", "task"):
                raise ConfigError(f"Method {item['name']}: a term is one loss, not {term!r}; give each its own place.")
            terms.append(_term_from_text(term))
            continue
        if "loss" not in term:
            raise ConfigError(
                f"Method {item['name']}: a term has loss, settings, weight, student, teacher, stages and name; got "
                f"{', '.join(term) or 'nothing'}."
            )
        terms.append(WrittenTerm(**fitted(f"Method {item['name']}: a term", WrittenTerm, term)))
    task = given.get("task")
    task = None if task is None else _number(str(task), "task")
    return Written(str(given["name"]), task, tuple(terms), given.get("start"))


@dataclass(frozen=True)
class _Given:
    """A method as YAML has it."""

    name: str | int | float
    task: float | str | None = None
    terms: list[dict[str, Any] | str] | None = None
    start: str | None = None


def _weight(
    given: float | str | dict[str, Any] | None, loss: str
) -> float | Weight | Balanced | Literal["paper"] | None:
    if isinstance(given, dict):
        if "value" not in given:
            raise ConfigError(f"{loss}: a weight has value, schedule, end, warmup and limit; got {given}.")
        return Weight(**fitted(f"{loss}: a weight", Weight, given))
    if isinstance(given, str):
        return PAPER if given == PAPER else _balanced(given, loss)
    return given


def _scaled(term: Term, share: float) -> float | Weight | Balanced:
    if isinstance(term.weight, Weight):
        return replace(term.weight, value=share * term.weight.value, end=share * term.weight.end)
    if isinstance(term.weight, Balanced):
        return Balanced(share * term.weight.share)
    assert isinstance(term.weight, float | int)  # a default is written out when it is parsed
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
