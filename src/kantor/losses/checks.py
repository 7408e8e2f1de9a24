"""Shapes that the losses refuse, in one voice: what does not belong together gives no number."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kantor.core.errors import ConfigError, ShapeError

Shape = Sequence[int]
DROP_LAST = (
    "Where it is the last one of an epoch, leave it out: DataLoader(..., drop_last=True), or dataloader_drop_last=True "
    "in Hugging Face's Trainer."
)
"""What to do with a batch that is smaller than the others."""


def same_samples(name: str, student: Tensor, teacher: Tensor, *, least: int = 1) -> None:
    """Refuse outputs that are not of the same samples.

    Args:
        name: the loss that asks.
        student: the student's output, ``[batch, ...]``.
        teacher: the teacher's.
        least: how many samples it takes; 2 for a loss that compares samples with one another.

    Raises:
        ShapeError: a side has no features, the batches differ, or there are too few samples.
    """
    if student.ndim < 2 or teacher.ndim < 2 or student.shape[0] != teacher.shape[0]:
        raise ShapeError(
            f"{name} compares what two networks say of the same samples, [batch, ...]; the student's output is "
            f"{tuple(student.shape)}, the teacher's {tuple(teacher.shape)}."
        )
    not_empty(name, student, teacher)
    enough(name, student, least)


def not_empty(name: str, *outputs: Tensor) -> None:
    """Refuse outputs that hold nothing of a sample.

    Raises:
        ShapeError: with the shape.
    """
    empty = next((output for output in outputs if 0 in output.shape[1:]), None)
    if empty is not None:
        raise ShapeError(f"{name} has nothing to compare: an output is {tuple(empty.shape)}.")


def one_id_each(name: str, student: Tensor, ids: Tensor | None, samples: int) -> Tensor:
    """The ids, one per sample, or an error that says what is wrong with them.

    Args:
        name: the loss that asks.
        student: the student's output, ``[batch, ...]``.
        ids: as they were given.
        samples: ids are in ``range(samples)``, the rows of its memory.

    Raises:
        ConfigError: there are none, or one has no row in the memory.
        ShapeError: they are not one whole number per sample.
    """
    if ids is None:
        raise ConfigError(f"{name} finds its memory by sample id, and the batch has no ids.")
    if not isinstance(ids, Tensor) or ids.shape != student.shape[:1] or not _whole(ids):
        given = f"{tuple(ids.shape)} of {_kind(ids)}" if isinstance(ids, Tensor) else f"a {type(ids).__name__}"
        raise ShapeError(
            f"{name} takes one id per sample, integers [{student.shape[0]}] for an output of {tuple(student.shape)}; "
            f"the ids are {given}."
        )
    wrong = _outside(ids, samples)
    if wrong is not None:
        raise ConfigError(
            f"{name} remembers samples 0 to {samples - 1} by their ids, and one of the batch is {wrong}. Say how many "
            "samples there are (Objective(samples=...)), and number them from 0."
        )
    return ids


def _whole(numbers: Tensor) -> bool:
    return not (numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool)


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _outside(numbers: Tensor, end: int) -> int | None:
    """One that is not in ``range(end)``. On a GPU it is told by torch's own assertion, as looking would wait for it."""
    if numbers.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    outside = (numbers < 0) | (numbers >= end)
    return int(numbers[outside][0]) if outside.any() else None


def enough(name: str, output: Tensor, least: int) -> None:
    """Refuse a batch of fewer samples.

    Raises:
        ShapeError: with their number.
    """
    if output.shape[0] < least:
        why = "compares the samples of a batch with one another" if least > 1 else "is a mean over samples"
        number = {1: "one", 2: "two"}[least]
        raise ShapeError(
            f"{name} {why}: it takes {number} or more, and this batch is {tuple(output.shape)}. {DROP_LAST}"
        )


def same_shape(name: str, student: Tensor, teacher: Tensor, *, dims: Sequence[int] = (), least: int = 1) -> None:
    """Refuse outputs of two shapes.

    Args:
        name: the loss that asks.
        student: the student's output, projected where the loss projects it.
        teacher: the teacher's.
        dims: the numbers of dimensions that it takes; any where left out.
        least: see :func:`same_samples`.

    Raises:
        ShapeError: with both shapes.
    """
    if student.shape != teacher.shape or student.ndim < 2 or (dims and student.ndim not in dims):
        kinds = {2: "rows", 3: "tokens", 4: "maps", 5: "volumes"}
        raise ShapeError(
            f"{name} compares {', '.join(kinds[d] for d in dims) or 'outputs'} of one shape; the student's is "
            f"{tuple(student.shape)}, the teacher's {tuple(teacher.shape)}."
        )
    not_empty(name, student)
    enough(name, student, least)


def same_width(name: str, student: Tensor, teacher: Tensor, remedy: str) -> None:
    """Refuse what are not two sets of samples as rows of one width. Their numbers may differ.

    Args:
        name: the loss that asks.
        student: rows, ``[batch, dim]``.
        teacher: rows, ``[others, dim]``.
        remedy: a sentence for widths that differ.

    Raises:
        ShapeError: with both shapes.
    """
    if student.ndim != 2 or teacher.ndim != 2 or student.shape[1] != teacher.shape[1]:
        raise ShapeError(
            f"{name} compares samples as rows of one width; the student's are {tuple(student.shape)}, the teacher's "
            f"{tuple(teacher.shape)}. {remedy}"
        )
    if min(student.shape[0], teacher.shape[0]) < min(2, max(student.shape[0], teacher.shape[0])):
        raise ShapeError(
            f"{name} moves one set of samples to another, and one alone cannot stand for several: the student's are "
            f"{tuple(student.shape)}, the teacher's {tuple(teacher.shape)}."
        )
    enough(name, student, 1)


def check_maps(name: str, student: Tensor, teacher: Tensor) -> None:
    """Refuse what are not outputs with positions for the same samples.

    Raises:
        ShapeError: one is no map ``[N, C, H, W]`` or token sequence ``[N, T, D]``, or the batches differ.
    """
    if not {student.ndim, teacher.ndim} <= {3, 4, 5}:
        raise ShapeError(
            f"{name} compares maps [N, C, H, W], volumes [N, C, D, H, W] or tokens [N, T, D] over positions; the "
            f"student's output is {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}."
        )
    same_samples(name, student, teacher)


def classes(name: str, student: Shape, teacher: Shape, others: str, *, least: int = 1) -> None:
    """Refuse shapes that are not one prediction per sample over the same classes.

    Args:
        name: the loss that asks.
        student: shape of the student's logits.
        teacher: shape of the teacher's.
        others: which losses serve other classes.
        least: how many classes it takes.

    Raises:
        ShapeError: with both shapes.
    """
    said = f"the student's are {tuple(student)}, the teacher's {tuple(teacher)}"
    if len(student) != 2 or len(teacher) != 2:
        raise ShapeError(
            f"{name} compares one prediction per sample, logits [batch, classes]; {said}. Predictions per pixel or "
            "token over the same classes go to kd, tokens of two vocabularies to uld or multilevel_ot."
        )
    if student[1] != teacher[1] or student[1] < least:
        many = "the same classes" if least == 1 else f"the same {least} or more classes"
        raise ShapeError(f"{name} compares logits over {many}; {said}. With other classes use {others}.")
    if student[0] != teacher[0]:
        raise ShapeError(f"{name} compares logits of the same samples; {said}.")


def index_of_targets(name: str, targets: Tensor, logits: Tensor) -> Tensor:
    """The targets as int64, if they are one class index per sample.

    Args:
        name: the loss that asks.
        targets: as they were given.
        logits: ``[batch, classes]``.

    Raises:
        ShapeError: with their shape, or one that is no class.
    """
    if not isinstance(targets, Tensor) or targets.shape != logits.shape[:1] or not _whole(targets):
        given = f"{tuple(targets.shape)} of {_kind(targets)}" if isinstance(targets, Tensor) else f"{targets!r}"
        raise ShapeError(
            f"{name} takes one class index per sample, integers [{logits.shape[0]}]; the targets are {given[:60]}."
        )
    wrong = _outside(targets, logits.shape[1])
    if wrong is not None:
        raise ShapeError(
            f"{name} needs the class of every sample, 0 to {logits.shape[1] - 1}, and one target is {wrong}. Leave out "
            "samples without a label, or use a loss that `kantor methods` lists without 'targets'."
        )
    return targets.long()


def width(shape: Shape) -> int:
    """Features of an output: its last dimension, of a map ``[N, C, H, W]`` or volume its channels."""
    return shape[1] if len(shape) > 3 else shape[-1]


def as_built(name: str, side: str, shapes: Sequence[Shape], built: Sequence[Shape]) -> None:
    """Refuse outputs of other layers than a loss was made for. Samples and positions may be others.

    Args:
        name: the loss that asks.
        side: student or teacher.
        shapes: of its outputs.
        built: those that ``build`` was told.

    Raises:
        ShapeError: with both.
    """
    if [width(s) if len(s) > 1 else 0 for s in shapes] != [width(s) for s in built]:
        given, known = ([tuple(shape) for shape in some] for some in (shapes, built))
        raise ShapeError(
            f"{name} was made for outputs of the {side} like {', '.join(map(str, known))}, and is given "
            f"{', '.join(map(str, given)) or 'none'}. Bind the same layers, or build() a loss for these."
        )
