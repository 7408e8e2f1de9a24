"""Logits per token, of which only an answer counts: where it begins, how long it is."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.losses.base import Mask, Shapes
from kantor.losses.masks import first_kept

IGNORED = -100
"""The label of a token that is not part of the answer, as in transformers."""


def answer_logits(
    logits: Float[Tensor, "batch tokens vocabulary"], labels: Int[Tensor, "batch tokens"]
) -> tuple[Float[Tensor, "batch tokens vocabulary"], Int[Tensor, " batch"]]:
    """The logits that predict each sample's answer, moved to the front and followed by zeros; and their numbers.

    A token is predicted one position earlier, so they begin right before the first label that is not -100. (An answer
    that begins at position 0 has nothing before it: there they begin at 0, as in the public code of ULD.)

    Raises:
        ShapeError: logits and labels have other batches or numbers of tokens.
    """
    if logits.ndim != 3 or labels.shape != logits.shape[:2]:
        raise ShapeError(f"Labels {tuple(labels.shape)} do not belong to logits {tuple(logits.shape)} token by token.")
    counted = labels != IGNORED
    lengths = counted.sum(1)
    first = (counted.int().argmax(1) - 1).clamp_min(0)
    position = torch.arange(logits.shape[1], device=logits.device)
    source = (first.unsqueeze(1) + position).clamp_max(logits.shape[1] - 1)
    in_front = logits.gather(1, source.unsqueeze(2).expand_as(logits))
    return in_front * within(lengths, logits.shape[1]).unsqueeze(2), lengths


def all_tokens(logits: Float[Tensor, "batch tokens vocabulary"]) -> Int[Tensor, " batch"]:
    """The lengths where every token counts."""
    return torch.full(logits.shape[:1], logits.shape[1], dtype=torch.int64, device=logits.device)


def within(lengths: Int[Tensor, " batch"], tokens: int) -> Bool[Tensor, "batch tokens"]:
    """Which positions belong to the answers."""
    return torch.arange(tokens, device=lengths.device) < lengths.unsqueeze(1)


def same_width(
    left: Float[Tensor, "... n"], right: Float[Tensor, "... m"]
) -> tuple[Float[Tensor, "... k"], Float[Tensor, "... k"]]:
    """Both with the wider one's last dimension, zeros added."""
    width = max(left.shape[-1], right.shape[-1])
    return F.pad(left, (0, width - left.shape[-1])), F.pad(right, (0, width - right.shape[-1]))


def check_sequences(name: str, student_shapes: Shapes, teacher_shapes: Shapes) -> None:
    """Refuse what is not logits per token.

    Raises:
        ShapeError: with both shapes.
    """
    (s,), (t,) = student_shapes, teacher_shapes
    said = f"the student's are {tuple(s)}, the teacher's {tuple(t)}"
    if len(s) != 3 or len(t) != 3:
        raise ShapeError(
            f"{name} compares logits per token, [batch, tokens, vocabulary]; {said}. For one label per sample use kd, "
            "sinkd or wkd_logit."
        )
    if s[0] != t[0]:
        raise ShapeError(f"{name} compares the tokens of the same samples; {said}.")
    if 0 in s or 0 in t or min(s[2], t[2]) < 2:
        raise ShapeError(f"{name} compares logits over two tokens or more, at one position or more; {said}.")


def check_lengths(name: str, logits: Float[Tensor, "batch tokens vocabulary"], lengths: Tensor | None) -> None:
    """Refuse lengths that are not one per sample.

    Raises:
        ShapeError: with their shape.
    """
    if lengths is not None and lengths.shape != logits.shape[:1]:
        raise ShapeError(f"{name} takes a length per sample of {tuple(logits.shape)}, not {tuple(lengths.shape)}.")


def aligned(
    name: str,
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    targets: Tensor | None,
    masks: tuple[Mask, Mask] = (None, None),
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(student, teacher, student lengths, teacher lengths) of a loss's inputs.

    ``targets [batch, tokens]`` with -100 mark the answer, on both sides; without them, or with one label per sample,
    every token counts that a side's mask does not call padding. Where the two sides are tokenised apart, align each
    with :func:`answer_logits` first.

    Raises:
        ShapeError: labels per token are given, and the two sides have other numbers of tokens.
    """
    if targets is None or targets.ndim == 1:
        (s, s_lengths), (t, t_lengths) = first_kept(student, masks[0]), first_kept(teacher, masks[1])
        s_lengths = all_tokens(student) if s_lengths is None else s_lengths
        t_lengths = all_tokens(teacher) if t_lengths is None else t_lengths
        return s, t, s_lengths, t_lengths
    if teacher.shape[:2] != student.shape[:2]:
        raise ShapeError(
            f"{name}: targets {tuple(targets.shape)} mark the answer's tokens on both sides, but the student has "
            f"{tuple(student.shape[:2])} and the teacher {tuple(teacher.shape[:2])}. Tokenised apart, move each side's "
            "answer to the front first (kantor.losses.sequences.answer_logits) and give no targets."
        )
    (s, s_lengths), (t, t_lengths) = answer_logits(student, targets), answer_logits(teacher, targets)
    return s, t, s_lengths, t_lengths
