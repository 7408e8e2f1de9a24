"""Shapes that the losses refuse, in one voice: what does not belong together gives no number."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kantor.core.errors import ConfigError, ShapeError

Shape = Sequence[int]


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


def one_id_each(name: str, student: Tensor, ids: Tensor | None) -> Tensor:
    """The ids, one per sample, or an error that says what is wrong with them.

    Raises:
        ConfigError: there are none.
        ShapeError: they are not one per sample.
    """
    if ids is None:
        raise ConfigError(f"{name} finds its memory by sample id, and the batch has no ids.")
    if ids.shape != student.shape[:1]:
        raise ShapeError(f"{name} takes one id per sample: {tuple(ids.shape)} are not those of {tuple(student.shape)}.")
    return ids


def enough(name: str, output: Tensor, least: int) -> None:
    """Refuse a batch of fewer samples.

    Raises:
        ShapeError: with their number.
    """
    if output.shape[0] < least:
        why = "compares the samples of a batch with one another" if least > 1 else "is a mean over samples"
        number = {1: "one", 2: "two"}[least]
        raise ShapeError(f"{name} {why}: it takes {number} or more, and this batch is {tuple(output.shape)}.")


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


def index_of_targets(name: str, targets: Tensor, samples: int) -> None:
    """Refuse targets that are not one class index per sample.

    Raises:
        ShapeError: with their shape.
    """
    if targets.ndim != 1 or targets.shape[0] != samples or targets.is_floating_point() or targets.dtype == torch.bool:
        raise ShapeError(
            f"{name} takes one class index per sample, integers [{samples}]; the targets are {tuple(targets.shape)} of "
            f"{str(targets.dtype).removeprefix('torch.')}."
        )
