"""What step 0 says beside facts and refusals: things that may be meant, and often are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from kantor.capture import LOGITS, call
from kantor.capture.compiled import is_compiled, named_layers
from kantor.capture.layout import picked_of
from kantor.core.inputs import Inputs
from kantor.objective.gradients import without_gradient
from kantor.objective.sharing import follows_mode
from kantor.objective.teachers import LiveTeacher

if TYPE_CHECKING:
    from kantor.data import Batch
    from kantor.objective.objective import Objective


def notes(objective: Objective, batch: Batch, features: Mapping[str, torch.Tensor]) -> list[str]:
    """Sentences on how outputs were read, on what learns nothing or is in eval mode, and on compiled networks.

    Args:
        objective: bound and built.
        batch: of step 0.
        features: the student's layers on it.
    """
    student = objective.student
    found = [*_picked(student, batch.inputs["student"], "The student"), *_still(student, objective.frozen)]
    layers = [layer for bound in objective.bound for layer in bound.student_layers]
    found += _uncompiled(student, layers, "The student")
    for bound in objective.bound:
        if dead := without_gradient(bound, features):
            found.append(f"Term {bound.name} trains nothing at {', '.join(dead)}: all before it is frozen or detached.")
    for name, teacher in objective.teachers.items():
        if isinstance(teacher, LiveTeacher):
            found += _picked(teacher.network, teacher.sees(batch), f"Teacher {name}")
            found += _uncompiled(teacher.network, [read.layer for read in objective.reads(name)], f"Teacher {name}")
    return found


def _picked(network: nn.Module, inputs: Inputs, who: str) -> Iterator[str]:
    with torch.no_grad():
        picked = picked_of(call(network, inputs), who)
    if picked and not picked.startswith(f"'{LOGITS}'"):
        yield f"{who} returns more than a tensor: its logits are taken to be {picked}."


def _still(student: nn.Module, frozen: list[nn.Module]) -> Iterator[str]:
    meant = {id(module) for part in frozen for module in part.modules()}
    parts = [
        f"{path} ({type(module).__name__})" if path else type(module).__name__
        for path, module in named_layers(student)
        if not module.training and follows_mode(module) and id(module) not in meant
    ]
    if parts:
        yield (
            f"The student is in eval mode at {', '.join(parts[:4])}{', ...' if len(parts) > 4 else ''}: there dropout "
            "is off and running statistics stand still. Call objective.train() before the first step, or freeze it."
        )


def _uncompiled(network: nn.Module, layers: list[str], who: str) -> Iterator[str]:
    inside = list(dict.fromkeys(layer for layer in layers if layer != LOGITS))
    if inside and is_compiled(network):
        yield (
            f"{who} runs uncompiled: compiled code cannot be read at {', '.join(inside)}. It runs compiled where "
            "logits alone are read."
        )
