"""What step 0 says beside facts and refusals: things that may be meant, and often are not."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from kantor.capture import LOGITS, call
from kantor.capture.compiled import is_compiled, named_layers
from kantor.capture.layout import picked_of
from kantor.capture.masks import padding_named
from kantor.capture.positions import LayerOutput, placed
from kantor.core.inputs import Inputs
from kantor.data import Batch
from kantor.losses.base import TransferLoss
from kantor.losses.penalty import WeightPenalty
from kantor.objective.gradients import without_gradient
from kantor.objective.outputs import Networks, Outputs
from kantor.objective.sharing import follows_mode
from kantor.objective.teachers import LiveTeacher, Read
from kantor.objective.terms import Bound


def notes(networks: Networks, bound: Sequence[Bound], outputs: Outputs) -> list[str]:
    """Sentences on how outputs were read, on padding, on what learns nothing or is in eval mode, and on compiled
    networks.

    Args:
        networks: the student and its teachers.
        bound: the terms.
        outputs: what they said of the batch of step 0.
    """
    student, batch = networks.student, outputs.batch
    found = [*_picked(student, batch.inputs["student"], "The student"), *_still(student, networks.frozen)]
    found += _uncompiled(student, list(outputs.student), "The student")
    found += _padding(outputs.student, padding_named(batch.inputs["student"], batch.masks), "The student")
    for b in bound:
        if _meets_in_spans(b, outputs):
            found.append(f"Term {b.name}: the two have other tokens, {_how_they_meet(b.loss)}.")
        if dead := without_gradient(b, outputs.student):
            found.append(f"Term {b.name} trains nothing at {', '.join(dead)}: all before it is frozen or detached.")
    for name, teacher in networks.teachers.items():
        layers = [read.layer for whose, read in outputs.teachers if whose == name]
        if isinstance(teacher, LiveTeacher):
            found += _picked(teacher.network, teacher.sees(batch), f"Teacher {name}")
            found += _uncompiled(teacher.network, layers, f"Teacher {name}")
            named = padding_named(teacher.sees(batch), batch.masks)
            found += _padding(_unpooled(teacher, layers, batch), named, f"Teacher {name}")
    return found


def _meets_in_spans(bound: Bound, outputs: Outputs) -> bool:
    """Whether a term compares token by token what two tokenizers made."""
    if not isinstance(bound.loss, TransferLoss) or bound.pooled:
        return False
    ours = [outputs.student[layer] for layer in bound.student_layers]
    theirs = [outputs.teachers[bound.teacher, Read(layer)] for layer in bound.teacher_layers]
    return any(s.ends is not None and t.ends is not None for s, t in zip(ours, theirs, strict=True))


def _how_they_meet(loss: TransferLoss | WeightPenalty) -> str:
    if isinstance(loss, TransferLoss) and loss.reads == "sequence_logits" and not loss.by_number:
        return "and are compared where both begin anew in the text, from there to where a token of both ends"
    if isinstance(loss, TransferLoss) and loss.takes_spans:
        return "and are compared by their number, as published: from where they first differ on, that is other text"
    return "and meet where a token of both ends; what lies between two such places is averaged"


def _picked(network: nn.Module, inputs: Inputs, who: str) -> Iterator[str]:
    with torch.no_grad():
        picked = picked_of(call(network, inputs), who)
    if picked and not picked.startswith(f"'{LOGITS}'"):
        yield f"{who} returns more than a tensor: its logits are taken to be {picked}."


def _padding(layers: Mapping[str, LayerOutput], named: Mapping[str, Tensor], who: str) -> Iterator[str]:
    """At which layers padding is left out, and of which nothing is known of it."""
    if not named:
        return
    said = " and ".join(named)
    masked = [layer for layer, output in layers.items() if output.mask is not None]
    if masked:
        yield f"{who}: padding, as {said} says, is left out at {', '.join(masked)}."
    others = [f"{layer} ({x.values.shape[1]})" for layer, x in layers.items() if x.values.ndim == 3 and x.mask is None]
    if others:
        what = " and ".join(f"{name} {list(x.shape)}" for name, x in named.items())
        yield f"{who}: {what} is not that of {', '.join(others)}, where padding counts like anything else."


def _unpooled(teacher: LiveTeacher, layers: Sequence[str], batch: Batch) -> dict[str, LayerOutput]:
    """The teacher's layers with their positions, where it sees a mask; none where it does not."""
    inputs = teacher.sees(batch)
    if not padding_named(inputs, batch.masks):
        return {}
    outputs = teacher.outputs(batch, [Read(layer) for layer in layers])
    return {read.layer: placed(x, inputs, read.layer, batch.masks) for read, x in outputs.items()}


def _still(student: nn.Module, frozen: Sequence[nn.Module]) -> Iterator[str]:
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


def _uncompiled(network: nn.Module, layers: Sequence[str], who: str) -> Iterator[str]:
    inside = list(dict.fromkeys(layer for layer in layers if layer != LOGITS))
    if inside and is_compiled(network):
        yield (
            f"{who} runs uncompiled: compiled code cannot be read at {', '.join(inside)}. It runs compiled where "
            "logits alone are read."
        )
