"""Losses on logits per token: what all of them are given, and what they check alike."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from kantor.capture.spans import SharedSpans
from kantor.losses.base import Mask, Shapes, TransferLoss
from kantor.losses.masks import single_mask
from kantor.losses.sequences import check_sequences
from kantor.losses.stages import single


class TokenLoss(TransferLoss):
    """A loss on two language models' logits per token, of one vocabulary or of two. It says how in :meth:`compared`."""

    default_weight: ClassVar = 1.0
    reads: ClassVar = "sequence_logits"
    takes_mask = True
    takes_spans = True

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that both give logits per token.

        Raises:
            ShapeError: they do not.
        """
        check_sequences(self.name, student_shapes, teacher_shapes)

    def forward(
        self,
        student,
        teacher,
        *,
        targets=None,
        ids=None,  # noqa: ARG002
        student_mask=None,
        teacher_mask=None,
        spans=None,
    ) -> Tensor:
        """:meth:`compared` of what was checked.

        Raises:
            ShapeError: these are no logits per token of the same samples.
        """
        student, teacher = single(student), single(teacher)
        check_sequences(self.name, (student.shape,), (teacher.shape,))
        return self.compared(student, teacher, spans, targets, (single_mask(student_mask), single_mask(teacher_mask)))

    def compared(
        self,
        student: Float[Tensor, "batch tokens vocabulary"],
        teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
        spans: SharedSpans | None,
        targets: Tensor | None,
        masks: tuple[Mask, Mask],
    ) -> Float[Tensor, ""]:
        """The loss of one batch.

        Args:
            student: logits.
            teacher: the same, of any vocabulary and number of tokens.
            spans: which tokens begin and end together; None where both sides have the same tokens.
            targets: labels of the batch; those per token, ``[batch, tokens]``, are -100 where a token does not count.
            masks: of student and teacher, which tokens are no padding.
        """
        raise NotImplementedError
