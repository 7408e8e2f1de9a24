"""ULD: compare token predictions over different vocabularies, sorted (Boizard et al., TMLR 2025, arXiv 2402.12030)."""

from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor.capture.spans import SharedSpans
from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import ConfigError, suggest
from kantor.losses.precision import transfer
from kantor.losses.said import Merge, merged
from kantor.losses.sequences import (
    aligned,
    all_tokens,
    check_lengths,
    check_sequences,
    same_width,
    within,
)
from kantor.losses.settings import positive
from kantor.losses.token_loss import TokenLoss
from kantor.losses.token_rows import check_spans, needed, row_values
from kantor.losses.top_logits import falling, sorted_difference


@transfer
def uld(
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    student_lengths: Int[Tensor, " batch"] | None = None,
    teacher_lengths: Int[Tensor, " batch"] | None = None,
    *,
    student_temperature: float = 1.0,
    teacher_temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """``mean over samples and their tokens of sum_i |sort(p_s)_i - sort(p_t)_i|``, probabilities in falling order.

    The least L1 distance between the two probability vectors over all ways to pair their tokens, which sorting both
    finds: what a token means is not read. The smaller vocabulary is filled up with zeros; a sample counts as many
    tokens as the shorter of its two answers. Follows the public code (llm-recipes), but for a sample without a token:
    it counts 0 here and is NaN there.

    Args:
        student: logits, the answer's first.
        teacher: logits, of any vocabulary and number of tokens.
        student_lengths: tokens of each answer; all where left out.
        teacher_lengths: the same for the teacher.
        student_temperature: divides the student's logits.
        teacher_temperature: divides the teacher's.

    Raises:
        ShapeError: these are no logits per token of the same samples.
    """
    check_sequences("uld", (student.shape,), (teacher.shape,))
    check_lengths("uld", student, student_lengths)
    check_lengths("uld", teacher, teacher_lengths)
    lengths = torch.minimum(
        all_tokens(student) if student_lengths is None else student_lengths,
        all_tokens(teacher) if teacher_lengths is None else teacher_lengths,
    )
    tokens = min(student.shape[1], teacher.shape[1])
    p_s = (student[:, :tokens] / student_temperature).softmax(-1).sort(dim=-1, descending=True).values
    p_t = (teacher[:, :tokens] / teacher_temperature).softmax(-1).sort(dim=-1, descending=True).values
    p_s, p_t = same_width(p_s, p_t)
    apart = (p_s - p_t).abs().sum(-1) * within(lengths, tokens)
    return (apart.sum(1) / lengths.clamp_min(1)).mean()


@transfer
def merged_uld(
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    spans: SharedSpans,
    *,
    merge: Merge = "observed",
    targets: Tensor | None = None,
    student_temperature: float = 1.0,
    teacher_temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """:func:`uld` of spans in the place of tokens: ``mean over samples and spans of sum_i |sort(p_s) - sort(p_t)|``.

    A span's tokens are one distribution, see :data:`~kantor.losses.said.Merge`. As TRL's ``ULDLoss`` with
    ``use_extended_uld``, but that spans are compared by what predicts them, where its ``observed`` reads one place
    later.

    Args:
        student: logits per token.
        teacher: the same, at other tokens.
        spans: which tokens begin and end together, and which they are.
        merge: ``observed`` or ``bayesian``.
        targets: labels of the student's tokens; spans that begin with -100 do not count.
        student_temperature, teacher_temperature: divide the logits.

    Raises:
        ShapeError: these are no logits per token of the same samples.
    """
    check_sequences("uld", (student.shape,), (teacher.shape,))
    check_spans("uld", spans)
    temperatures = student_temperature, teacher_temperature
    rows, beside = merged(student, teacher, spans, merge, temperatures, targets)

    def value(s: Tensor, t: Tensor, ours: Tensor, theirs: Tensor) -> Float[Tensor, " rows"]:
        p_s = (s / student_temperature).softmax(-1).sort(dim=-1, descending=True).values
        return sorted_difference(p_s, falling(t, teacher_temperature, p_s.shape[1]), ours.exp(), theirs.exp())

    return rows.mean_of_samples(row_values(value, student, teacher, rows, beside))


class ULD(TokenLoss):
    """:func:`uld` of the global batch. The weight 1.5 is that of the public code's released runs.

    ``targets`` as labels per token with -100 mark the answer; see :func:`~kantor.losses.sequences.aligned`.

    Args:
        student_temperature, teacher_temperature: see :func:`uld`.
        merge: ``none`` compares the tokens by their number, as published; ``observed`` and ``bayesian`` compare spans
            of text, see :func:`merged_uld`.

    Raises:
        ConfigError: a temperature is not positive, or ``merge`` is unknown.
    """

    name: ClassVar = "uld"
    paper: ClassVar = "arXiv 2402.12030"
    default_weight: ClassVar = 1.5

    def __init__(
        self,
        student_temperature: float = 1.0,
        teacher_temperature: float = 1.0,
        merge: Literal["none", "observed", "bayesian"] = "none",
    ) -> None:
        super().__init__()
        if merge not in ("none", *get_args(Merge)):
            raise ConfigError(f"uld: unknown merge {merge!r}. {suggest(str(merge), ('none', *get_args(Merge)))}")
        self.merge: Literal["none", "observed", "bayesian"] = merge
        self.by_number = merge == "none"
        self.takes_top = merge != "none"
        for temperatures in (student_temperature, teacher_temperature):
            positive(self.name, temperatures=temperatures)
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature

    def compared(self, student, teacher, spans, targets, masks) -> Tensor:
        """See :func:`uld` and :func:`merged_uld`."""
        temperatures = {
            "student_temperature": self.student_temperature,
            "teacher_temperature": self.teacher_temperature,
        }
        if self.merge != "none":
            found = needed(self.name, spans)
            return merged_uld(student, teacher, found, merge=self.merge, targets=targets, **temperatures)
        marked = None if spans is not None else targets  # labels are the student's tokens alone
        value = uld(*aligned(self.name, student, teacher, marked, masks), **temperatures)
        return sum_over_ranks(value) / world_size()

    def settings(self) -> dict[str, Any]:
        """Both temperatures, and how tokens are merged."""
        return {
            "student_temperature": self.student_temperature,
            "teacher_temperature": self.teacher_temperature,
            "merge": self.merge,
        }
