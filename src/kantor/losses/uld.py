"""ULD: compare token predictions over different vocabularies, sorted (Boizard et al., TMLR 2025, arXiv 2402.12030)."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor.core.collectives import sum_over_ranks, world_size
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.masks import single_mask
from kantor.losses.precision import transfer
from kantor.losses.sequences import aligned, all_tokens, check_lengths, check_sequences, same_width, within
from kantor.losses.settings import positive
from kantor.losses.stages import single


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


class ULD(TransferLoss):
    """:func:`uld` of the global batch. The weight 1.5 is that of the public code's released runs.

    ``targets`` as labels per token with -100 mark the answer; see :func:`~kantor.losses.sequences.aligned`.

    Args:
        student_temperature, teacher_temperature: see :func:`uld`.

    Raises:
        ConfigError: a temperature is not positive.
    """

    name: ClassVar = "uld"
    paper: ClassVar = "arXiv 2402.12030"
    default_weight: ClassVar = 1.5
    reads: ClassVar = "sequence_logits"
    takes_mask = True

    def __init__(self, student_temperature: float = 1.0, teacher_temperature: float = 1.0) -> None:
        super().__init__()
        for temperatures in (student_temperature, teacher_temperature):
            positive(self.name, temperatures=temperatures)
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that both give logits per token.

        Raises:
            ShapeError: they do not.
        """
        check_sequences(self.name, student_shapes, teacher_shapes)

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`uld`."""
        masks = single_mask(student_mask), single_mask(teacher_mask)
        value = uld(*aligned(self.name, single(student), single(teacher), targets, masks), **self.settings())
        return sum_over_ranks(value) / world_size()

    def settings(self) -> dict[str, Any]:
        """Both temperatures."""
        return {"student_temperature": self.student_temperature, "teacher_temperature": self.teacher_temperature}
