"""What is said and refused at step 0, before hours are spent."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kantor.core.errors import ConfigError, NonFiniteError
from kantor.core.inputs import shown
from kantor.data.views import ROLES, role_of
from kantor.losses.base import TransferLoss
from kantor.losses.penalty import WeightPenalty
from kantor.objective.following import FirstStep
from kantor.objective.gradients import gradient_norm, gradient_shares, reached, refuse_without_gradient
from kantor.objective.notes import notes
from kantor.objective.teachers import Read, class_names
from kantor.objective.terms import Bound
from kantor.objective.weights import Weight
from kantor.tasks import Classification
from kantor.tasks.given import OfLoss
from kantor.tasks.scale import ACCURACY

if TYPE_CHECKING:
    from kantor.data import Batch
    from kantor.objective.objective import Objective, Result


@dataclass(frozen=True)
class TermFacts:
    """One term at step 0."""

    name: str
    student: list[str]
    """``layer [shape]`` of each student layer."""
    teacher: list[str]
    """``teacher:layer [shape]`` of each teacher layer."""
    value: float
    weight: float
    """As it acts on this batch: lowered where it is limited."""
    gradient_share: float
    """Norm of the weighted term's gradient in the student's parameters, over the sum of all terms' norms."""
    settings: str
    reason: str
    lowered_from: float | None = None
    """What the weight is lowered from on this batch; None where it acts as it is."""


@dataclass(frozen=True)
class TeacherFacts:
    """One teacher at step 0."""

    name: str
    parameters: int
    ratio: float
    """Its parameters over the student's."""
    mode: str
    sees: str
    """Its own view and the shape of a sample; empty where all teachers see the same."""
    source: str
    """Run on every batch, or cached and keyed by what."""
    accuracy: float | None
    """On this one batch, in [0, 1]; None without labels, where its classes are not the student's, or where the task is
    judged by another metric."""
    scored: str = ""
    """What it reaches on this batch by the task's metric, in words; empty where it is not scored."""
    unnamed: int = 0
    """How many classes it has, where their number is all that is known and the student's classes have names: class i
    of the one is taken for class i of the other."""


@dataclass(frozen=True)
class StepZero:
    """The facts of step 0; ``str()`` is what is printed, ``record()`` what is kept in ``step0.json``."""

    student_parameters: int
    trained_parameters: int
    """Student and losses: what the optimiser moves."""
    teachers: list[TeacherFacts]
    terms: list[TermFacts]
    notes: list[str] = field(default_factory=list)
    """What else one should know: how the student's output was read, which of its parts are in eval mode."""

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"Student: {self.student_parameters:,} parameters; {self.trained_parameters:,} trained with the losses'."
        ]
        for t in self.teachers:
            seen = f"{t.scored} on this batch" if t.scored else "not scored (other classes, or no labels)"
            size = f"{t.parameters:,} parameters ({t.ratio:.1f} x the student's)"
            sees = f"sees {t.sees}, " if t.sees else ""
            lines.append(f"Teacher {t.name}: {size}, {sees}{t.mode}, {seen}; {t.source}.")
            if t.unnamed:
                lines.append(
                    f"Teacher {t.name} does not name its {t.unnamed} classes: they are taken for the student's, in the "
                    "same order. If they are others, say so (teacher_classes)."
                )
        for t in self.terms:
            compared = t.reason if t.name != "task" else "logits <- labels"
            pairs = ", ".join(f"{s} <- {u}" for s, u in zip(t.student, t.teacher, strict=True)) or compared
            lowered = (
                "" if t.lowered_from is None else f" (lowered from {t.lowered_from:.4g} while it outweighs the task)"
            )
            share = f"value {t.value:.4g}, weight {t.weight:.4g}{lowered}, {_percent(t.gradient_share)} of the gradient"
            why = f" ({t.reason})" if t.reason and t.student else ""
            settings = f"; {t.settings}" if t.settings else ""
            lines.append(f"Term {t.name}: {share}; {pairs}{why}{settings}")
        lines += self.notes
        return "\n".join(lines)


def _percent(share: float) -> str:
    """A share that is not quite none is not called none."""
    return f"{100 * share:.2g} %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def check_needs(objective: Objective, batch: Batch) -> None:
    """Refuse what the losses' class fields say cannot work.

    Raises:
        ConfigError: missing ids, targets or memory size; a teacher of other classes under a loss that needs the same.
    """
    losses = [term.loss for term in objective.terms if isinstance(term.loss, TransferLoss)]
    for loss in losses:
        if loss.needs_ids and (batch.ids is None or objective.samples == 0):
            raise ConfigError(
                f"{loss.name} keeps a memory by sample id: the batch needs ids, Objective(samples=...) their number."
            )
        if loss.needs_targets and batch.targets is None:
            raise ConfigError(
                f"{loss.name} needs targets, and the batch has none. Without labels use a loss that `kantor methods` "
                "lists without 'targets'."
            )
        if loss.needs_targets and batch.targets is not None and len(batch.targets) < len(batch):
            raise ConfigError(
                f"{loss.name} needs a target of every sample, and some come without a label. Leave out `unlabelled`, "
                "or use a loss that `kantor methods` lists without 'targets'."
            )
        if loss.needs_targets and batch.targets is not None and not _class_numbers(batch.targets):
            raise ConfigError(
                f"{loss.name} needs one class number a sample, and the targets are {list(batch.targets.shape)} of "
                f"{str(batch.targets.dtype).removeprefix('torch.')}. Of one-hot rows give targets.argmax(1); for mixed "
                "labels or several a sample use a loss that `kantor methods` lists without 'targets'."
            )
    mine = class_names(objective.student)
    for term in objective.terms:
        if isinstance(term.loss, WeightPenalty) or not term.loss.same_classes:
            continue
        if objective.task is not None and not objective.task.distributions:
            raise ConfigError(
                f"{term.loss.name} compares predictions as distributions over classes, and those of the task "
                f"{objective.task.name} are none. Use a loss on features: neuron_transport, wcord, crd, rkd or another "
                "that `kantor methods` lists without 'same classes'."
            )
        for name, teacher in objective.teachers.items():
            theirs = teacher.facts.get("classes")
            if not _same_classes(mine, theirs) and (term.teacher is None or str(term.teacher).startswith(f"{name}:")):
                raise ConfigError(
                    f"{term.loss.name} compares predictions class by class, but teacher {name} has {_describe(theirs)} "
                    f"and the student {_describe(mine)}. Across class sets use label_transport, "
                    "or a loss on features: neuron_transport, wcord, crd, rkd or another that `kantor methods` lists "
                    "without 'same classes'."
                )


def balanced(objective: Objective, batch: Batch) -> list[Bound]:
    """The bound terms, with the weights found of those that are set by their gradient.

    Raises:
        ConfigError: there is no task to measure against, or a term has no gradient at step 0.
    """
    if all(bound.balance is None for bound in objective.bound):
        return objective.bound
    parameters = objective.trained
    result, _ = _with_gradients(objective, batch)
    if not objective.task_weight or "task" not in result.terms:
        raise ConfigError(
            "weight auto sets a term's gradient beside the task's, and there is no task here: give a number."
        )
    task = objective.task_weight * gradient_norm(result.terms["task"], parameters)
    found = []
    for bound in objective.bound:
        if bound.balance is not None:
            norm = gradient_norm(result.terms[bound.name], parameters)
            if not norm > 0:
                raise ConfigError(
                    f"{bound.name} has no gradient at step 0, so weight auto cannot be found: give a number."
                )
            bound = replace(bound, weight=Weight(bound.balance * task / norm))
        found.append(bound)
    return found


def look(objective: Objective, batch: Batch) -> tuple[StepZero, FirstStep]:
    """Run one training batch through the objective and describe it. Changes nothing that is saved.

    Returns:
        The facts, and a watch over the parameters that should move at the first step.
    """
    parameters = objective.trained
    result, features = _with_gradients(objective, batch)
    objective.limit(result.terms)
    weights = objective.weights()
    for name, value in result.terms.items():
        if not math.isfinite(value.item()):
            raise NonFiniteError(f"Term {name} is {value.item()} on the first batch. Look at its inputs' scale.")
    shares = gradient_shares({name: weights[name] * value for name, value in result.terms.items()}, parameters)
    shapes = _shapes(objective, batch)
    described = {
        bound.name: TermFacts(
            name=bound.name,
            student=[f"{layer} {shapes['', layer]}" for layer in bound.student_layers],
            teacher=[f"{bound.teacher}:{layer} {shapes[bound.teacher, layer]}" for layer in bound.teacher_layers],
            value=result.terms[bound.name].item(),
            weight=weights[bound.name],
            gradient_share=shares[bound.name],
            settings=bound.loss.extra_repr(),
            reason=bound.reason,
            lowered_from=asked if (asked := bound.weight.at(objective.progress)) > weights[bound.name] else None,
        )
        for bound in objective.bound
    }
    if "task" in result.terms:
        task = TermFacts("task", [], [], result.terms["task"].item(), weights["task"], shares["task"], "", "")
        described = {"task": task} | described
    student_parameters = sum(p.numel() for p in objective.student.parameters())
    own = {bound.name: [p for p in loss.parameters() if p.requires_grad] for loss, bound in objective.transfers}
    first_step = FirstStep(parameters, {name: reached(result.terms[name], found) for name, found in own.items()})
    facts = StepZero(
        student_parameters=student_parameters,
        trained_parameters=sum(p.numel() for p in objective.parameters() if p.requires_grad),
        teachers=[
            TeacherFacts(
                name=name,
                parameters=teacher.facts["parameters"],
                ratio=teacher.facts["parameters"] / max(1, student_parameters),
                mode=teacher.facts["mode"],
                sees=_sees(name, batch),
                source=teacher.facts["source"],
                **_scored(objective, name, batch),
                unnamed=_unnamed(class_names(objective.student), teacher.facts.get("classes")),
            )
            for name, teacher in objective.teachers.items()
        ],
        terms=list(described.values()),
        notes=notes(objective, batch, features),
    )
    return facts, first_step


def _with_gradients(objective: Objective, batch: Batch) -> tuple[Result, dict[str, Tensor]]:
    """What the objective says of a batch, and the student's layers, where every term has a gradient in the student.

    Raises:
        ConfigError: one has none.
    """
    try:
        with torch.enable_grad():
            result, features = objective._look(batch)
    finally:
        for loss, _ in objective.transfers:
            loss.forget()  # what was only looked at is no part of the first step
    bound = [bound for _, bound in objective.transfers]
    refuse_without_gradient(result.terms, bound, features, objective.task_weight, objective.trained)
    return result, features


def _shapes(objective: Objective, batch: Batch) -> dict[tuple[str, str], list[int]]:
    with torch.no_grad():
        _, student = objective._student(batch)
        teacher = objective._teachers(batch)
    return {("", layer): list(x.shape) for layer, x in student.items()} | {
        (name, read.layer): list(x.shape) for (name, read), x in teacher.items()
    }


def _sees(name: str, batch: Batch) -> str:
    role = role_of(name, batch.inputs)
    own = role not in ROLES and role in batch.inputs
    return f"{role} {shown(batch.inputs[role], batch=False)}" if own else ""


def _scored(objective: Objective, name: str, batch: Batch) -> dict[str, Any]:
    """What a teacher reaches on the batch, by the metric of the task; by accuracy where the task is a plain loss."""
    unknown = {"accuracy": None, "scored": ""}
    teacher = objective.teachers[name]
    if batch.targets is None or not _same_classes(class_names(objective.student), teacher.facts.get("classes")):
        return unknown
    logits = teacher.outputs(batch, [Read("logits")])[Read("logits")]
    task = Classification() if objective.task is None or isinstance(objective.task, OfLoss) else objective.task
    try:
        value = task.values(task.measured(logits, batch.targets))[task.scale.name]
    except RuntimeError:  # outputs of another shape than the student's: nothing is known of them
        return unknown
    if math.isnan(value):
        return unknown
    return {"accuracy": value if task.scale == ACCURACY else None, "scored": task.scale.said(value)}


def _class_numbers(targets: Tensor) -> bool:
    return targets.ndim == 1 and not targets.is_floating_point() and targets.dtype != torch.bool


def _same_classes(mine: Any, theirs: Any) -> bool:
    if mine is None or theirs is None:
        return True  # nothing is known of one side; the shapes are compared when the loss is built
    if isinstance(mine, int) or isinstance(theirs, int):
        return _count(mine) == _count(theirs)
    return list(mine) == list(theirs)


def _unnamed(mine: Any, theirs: Any) -> int:
    taken = isinstance(theirs, int) and mine is not None and not isinstance(mine, int) and _same_classes(mine, theirs)
    return theirs if taken else 0


def _count(classes: Any) -> int:
    return classes if isinstance(classes, int) else len(classes)


def _describe(classes: Any) -> str:
    if isinstance(classes, int):
        return f"{classes} classes"
    names = list(classes)
    return f"{len(names)} classes ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})"
