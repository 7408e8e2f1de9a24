"""What is measured and described at step 0, before hours are spent."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.errors import ConfigError, NonFiniteError
from kantor.core.inputs import shown
from kantor.data import Batch
from kantor.data.views import ROLES, role_of
from kantor.losses.penalty import WeightPenalty
from kantor.objective.classes import class_names, same_classes, unnamed
from kantor.objective.facts import StepZero, TeacherFacts, TermFacts
from kantor.objective.gradients import gradient_norm, gradient_shares, reached
from kantor.objective.notes import notes
from kantor.objective.outputs import Networks, Outputs
from kantor.objective.teachers import Read, Teacher
from kantor.objective.terms import Bound
from kantor.objective.weights import Weight
from kantor.tasks import Classification, Task
from kantor.tasks.given import OfLoss
from kantor.tasks.scale import ACCURACY


@dataclass(frozen=True)
class Look:
    """One look at a training batch, with the graphs of all values."""

    networks: Networks
    bound: Sequence[Bound]
    task: Task | None
    outputs: Outputs
    terms: Mapping[str, Float[Tensor, ""]]
    """Each term's value before its weight, ``task`` first."""
    weights: Mapping[str, float]
    """As they act on this batch."""
    asked: Mapping[str, float]
    """The terms' before their limits."""


def balanced(
    bound: Sequence[Bound],
    terms: Mapping[str, Float[Tensor, ""]],
    task_weight: float,
    parameters: Sequence[nn.Parameter],
) -> list[Bound]:
    """The bound terms, with the weights found of those that are set by their gradient.

    Args:
        bound: the terms.
        terms: each one's value before its weight, with its graph, ``task`` among them.
        task_weight: the task's weight.
        parameters: what of the student is trained.

    Raises:
        ConfigError: there is no task to measure against, or a term has no gradient at step 0.
    """
    if not task_weight or "task" not in terms:
        raise ConfigError(
            "weight auto sets a term's gradient beside the task's, and there is no task here: give a number."
        )
    task = task_weight * gradient_norm(terms["task"], parameters)
    found = []
    for b in bound:
        if b.balance is not None:
            norm = gradient_norm(terms[b.name], parameters)
            if not norm > 0:
                raise ConfigError(f"{b.name} has no gradient at step 0, so weight auto cannot be found: give a number.")
            b = replace(b, weight=Weight(b.balance * task / norm))
        found.append(b)
    return found


def described(look: Look) -> StepZero:
    """The facts of step 0.

    Raises:
        NonFiniteError: a term, or its gradient, is not finite.
    """
    for name, value in look.terms.items():
        if not math.isfinite(value.item()):
            raise NonFiniteError(f"Term {name} is {value.item()} on the first batch. Look at its inputs' scale.")
    student = look.networks.student
    trained = [p for p in student.parameters() if p.requires_grad]
    learned = [p for b in look.bound for p in b.loss.parameters() if p.requires_grad]
    parameters = sum(p.numel() for p in student.parameters())
    return StepZero(
        student_parameters=parameters,
        trained_parameters=sum(p.numel() for p in (*trained, *learned)),
        teachers=[_teacher(look, name, teacher, parameters) for name, teacher in look.networks.teachers.items()],
        terms=_terms(look, trained),
        notes=[*notes(look.networks, look.bound, look.outputs), *_unreached(look)],
    )


def _unreached(look: Look) -> list[str]:
    """What of the student nothing trains: neither the task nor a term that compares outputs."""
    penalties = {b.name for b in look.bound if isinstance(b.loss, WeightPenalty)}
    values = [
        look.weights[name] * value
        for name, value in look.terms.items()
        if name not in penalties and value.requires_grad and (name != "task" or look.weights[name])
    ]
    named = {name: p for name, p in look.networks.student.named_parameters() if p.requires_grad}
    if not values or any(hasattr(p, "full_tensor") for p in named.values()):  # shards, of which the graph knows nothing
        return []
    known = {id(p) for p in reached(torch.stack(values).sum(), list(named.values()))}
    left = {name: p.numel() for name, p in named.items() if id(p) not in known}
    if not left:
        return []
    some = ", ".join(list(left)[:3]) + (", ..." if len(left) > 3 else "")
    count = f"{sum(left.values()):,} of the student's {sum(p.numel() for p in named.values()):,} trained parameters"
    return [
        f"{count} ({some}) stay as they are: no gradient reaches them. They are not used here, or lie under "
        "torch.no_grad(), inference_mode, a detach or reentrant checkpointing (use_reentrant=False is the other kind)."
    ]


def _labelled(batch: Batch) -> str:
    """How many samples have a label, where not all do: the last ones may lack theirs on purpose, or by mistake."""
    known = 0 if batch.targets is None else len(batch.targets)
    return "" if known == len(batch) else f"the first {known} of {len(batch)} samples have a label"


def _terms(look: Look, trained: Sequence[nn.Parameter]) -> list[TermFacts]:
    weighted = {name: look.weights[name] * value for name, value in look.terms.items()}
    shares, values = gradient_shares(weighted, trained), {name: value.item() for name, value in look.terms.items()}
    if not all(map(math.isfinite, shares.values())):
        bad = [name for name, value in weighted.items() if not math.isfinite(gradient_norm(value, trained))]
        raise NonFiniteError(
            f"The gradient of {', '.join(bad)} is not finite on the first batch. Lower its weight; if that does not "
            "help, look at the loss and at its inputs' scale."
        )
    seen = _labelled(look.outputs.batch)
    tasks = [TermFacts(t, [], [], values[t], look.weights[t], shares[t], "", seen) for t in ("task",) if t in values]
    return [
        *tasks,
        *(
            TermFacts(
                name=b.name,
                student=[f"{layer} {_shape(look.outputs.student[layer].values)}" for layer in b.student_layers],
                teacher=[
                    f"{b.teacher}:{layer} {_shape(look.outputs.teachers[b.teacher, Read(layer, b.pooled)].values)}"
                    for layer in b.teacher_layers
                ],
                value=values[b.name],
                weight=look.weights[b.name],
                gradient_share=shares[b.name],
                settings=b.loss.extra_repr(),
                reason=b.reason,
                lowered_from=asked if (asked := look.asked[b.name]) > look.weights[b.name] else None,
            )
            for b in look.bound
        ),
    ]


def _teacher(look: Look, name: str, teacher: Teacher, student_parameters: int) -> TeacherFacts:
    return TeacherFacts(
        name=name,
        parameters=teacher.facts["parameters"],
        ratio=teacher.facts["parameters"] / max(1, student_parameters),
        mode=teacher.facts["mode"],
        sees=_sees(name, look.outputs.batch),
        source=teacher.facts["source"],
        **_scored(look, teacher),
        unnamed=unnamed(class_names(look.networks.student), teacher.facts.get("classes")),
    )


def _sees(name: str, batch: Batch) -> str:
    role = role_of(name, batch.inputs)
    own = role not in ROLES and role in batch.inputs
    return f"{role} {shown(batch.inputs[role], batch=False)}" if own else ""


def _scored(look: Look, teacher: Teacher) -> dict[str, Any]:
    """What a teacher reaches on the batch, by the metric of the task; by accuracy where the task is a plain loss."""
    unknown, batch = {"accuracy": None, "scored": ""}, look.outputs.batch
    if batch.targets is None or not same_classes(class_names(look.networks.student), teacher.facts.get("classes")):
        return unknown
    try:
        logits = teacher.outputs(batch, [Read("logits")])[Read("logits")]
    except KeyError:  # a cache without them
        return unknown
    task = Classification() if look.task is None or isinstance(look.task, OfLoss) else look.task
    try:
        values = task.values(task.measured(logits.to_dense(), batch.targets))
    except RuntimeError:  # outputs of another shape than the student's: nothing is known of them
        return unknown
    told = [(metric.scale, values[metric.name]) for metric in task.metrics if not math.isnan(values[metric.name])]
    if not told:
        return unknown
    scale, value = told[0]  # the first is of what a batch may not tell, as the bytes of its text
    return {"accuracy": value if scale == ACCURACY else None, "scored": scale.said(value)}


def _shape(x: Tensor) -> list[int]:
    return list(x.shape)
