"""What the losses' class fields say cannot work, before anything is built."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kantor.core.errors import ConfigError
from kantor.core.inputs import tensors_of
from kantor.data import Batch
from kantor.losses.base import TransferLoss
from kantor.losses.penalty import WeightPenalty
from kantor.objective.classes import class_names, described, same_classes
from kantor.objective.teachers import Teacher
from kantor.objective.terms import Term, resolved_weight
from kantor.tasks import Task


def refuse_other_types(teachers: Any, terms: Any, task_weight: Any) -> None:
    """Refuse what an objective is not made of, as a name in the place of a network.

    Raises:
        ConfigError: says what is to be given.
    """
    if not isinstance(teachers, Mapping):
        raise ConfigError(f"teachers are given by name, as {{'big': network}}, and not as {_a(teachers)}.")
    for name, teacher in teachers.items():
        if not isinstance(teacher, nn.Module) and not callable(getattr(teacher, "outputs", None)):
            raise ConfigError(
                f"Teacher {name} is {_a(teacher)}, and must be a network. kantor.load(NAME) makes one of a name."
            )
    if not isinstance(terms, list | tuple) or not all(isinstance(term, Term) for term in terms):
        odd = next((x for x in terms if not isinstance(x, Term)), terms) if isinstance(terms, list | tuple) else terms
        raise ConfigError(f"terms are a list of kantor.Term, as [Term(losses.KD())], and not {_a(odd)}.")
    for term in terms:
        if not isinstance(term.loss, TransferLoss | WeightPenalty):
            raise ConfigError(
                "A term's loss is made, as Term(losses.KD()), or named, as Term.named('kd'), and is not "
                f"{_a(term.loss)}."
            )
        _refuse_weight(term)
    if isinstance(task_weight, bool) or not isinstance(task_weight, int | float) or not 0 <= task_weight < math.inf:
        raise ConfigError(f"task_weight is zero or positive, not {task_weight!r}.")


def _refuse_weight(term: Term) -> None:
    """Refuse a weight that is none.

    Raises:
        ConfigError: names the loss.
    """
    try:
        resolved_weight(term)
    except (TypeError, ValueError):
        raise ConfigError(
            f"{term.loss.name}: a weight is a number, a kantor.Weight or Balanced, 'paper', or left out, and is not "
            f"{term.weight!r}."
        ) from None


def _a(thing: Any) -> str:
    return f"{thing!r}" if isinstance(thing, str) else f"a {getattr(thing, '__name__', type(thing).__name__)}"


def refuse_unmet(terms: Sequence[Term], batch: Batch, samples: int) -> None:
    """Refuse a loss that the batch lacks something for.

    Args:
        terms: of the objective.
        batch: a training batch.
        samples: sample ids are in ``range(samples)``; 0 where none was said.

    Raises:
        ConfigError: ids, their number, or targets are missing, or are not what a loss needs; or a tensor was made in
            inference mode.
    """
    shown = [x for inputs in batch.inputs.values() for x in tensors_of(inputs)]
    given = shown if batch.targets is None else [*shown, batch.targets]
    refuse_made_in_inference_mode("The batch was made", given, "load it outside, or clone() its tensors there.")
    for loss in (term.loss for term in terms if isinstance(term.loss, TransferLoss)):
        if loss.needs_ids and (batch.ids is None or samples == 0):
            raise ConfigError(
                f"{loss.name} keeps a memory by sample id: the batch needs ids, Objective(samples=...) their number."
            )
        if loss.needs_targets:
            _refuse_targets(loss.name, batch)


def refuse_made_in_inference_mode(what: str, tensors: Iterable[Tensor], remedy: str) -> None:
    """Refuse tensors that torch lets nobody train with.

    Raises:
        ConfigError: one was made under ``torch.inference_mode()``.
    """
    if any(x.is_inference() for x in tensors):
        raise ConfigError(f"{what} under torch.inference_mode(), and torch computes no gradients with that: {remedy}")


def refuse_other_classes(
    terms: Sequence[Term], student: nn.Module, teachers: Mapping[str, Teacher], task: Task | None
) -> None:
    """Refuse a loss that compares predictions class by class where the classes are not the same.

    Raises:
        ConfigError: a teacher's are others, or the task's outputs are no distributions over classes.
    """
    mine = class_names(student)
    for term in terms:
        if not isinstance(term.loss, TransferLoss) or not term.loss.same_classes:
            continue
        if task is not None and not task.distributions:
            raise ConfigError(
                f"{term.loss.name} compares predictions as distributions over classes, and those of the task "
                f"{task.name} are none. Use a loss on features: neuron_transport, wcord, crd, rkd or another "
                "that `kantor methods` lists without 'same classes'."
            )
        for name, teacher in teachers.items():
            theirs = teacher.facts.get("classes")
            if not same_classes(mine, theirs) and (term.teacher is None or str(term.teacher).startswith(f"{name}:")):
                raise ConfigError(
                    f"{term.loss.name} compares predictions class by class, but teacher {name} has {described(theirs)} "
                    f"and the student {described(mine)}. Across class sets use label_transport, across the tokens of "
                    "two language models vocabulary_transport, or a loss on features: neuron_transport, wcord, crd, "
                    "rkd or another that `kantor methods` lists without 'same classes'."
                )


def _refuse_targets(name: str, batch: Batch) -> None:
    targets = batch.targets
    if targets is None:
        raise ConfigError(
            f"{name} needs targets, and the batch has none. Without labels use a loss that `kantor methods` "
            "lists without 'targets'."
        )
    if len(targets) < len(batch):
        raise ConfigError(
            f"{name} needs a target of every sample, and some come without a label. Leave out `unlabelled`, "
            "or use a loss that `kantor methods` lists without 'targets'."
        )
    if not _class_numbers(targets):
        raise ConfigError(
            f"{name} needs one class number a sample, and the targets are {list(targets.shape)} of "
            f"{str(targets.dtype).removeprefix('torch.')}. Of one-hot rows give targets.argmax(1); for mixed "
            "labels or several a sample use a loss that `kantor methods` lists without 'targets'."
        )


def _class_numbers(targets: Tensor) -> bool:
    return targets.ndim == 1 and not targets.is_floating_point() and targets.dtype != torch.bool
