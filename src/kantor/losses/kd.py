"""KD: match the teacher's softened predictions (Hinton, Vinyals & Dean, arXiv 1503.02531)."""

from typing import Any, ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import Shape, enough
from kantor.losses.masks import fair, kept_on_both, single_mask
from kantor.losses.precision import transfer
from kantor.losses.sequences import aligned, within
from kantor.losses.settings import positive
from kantor.losses.stages import single


@transfer
def kd(
    student: Float[Tensor, "batch ..."], teacher: Float[Tensor, "batch ..."], *, temperature: float = 4.0
) -> Float[Tensor, ""]:
    """``T^2 * mean over predictions of KL(softmax(teacher / T) || softmax(student / T))``.

    The factor T^2 keeps the gradient's size the same for every temperature; the mean is over predictions (one a
    sample; one a token, or one a pixel, where there are several), not over classes. (Libraries differ in both, by up to
    47 times in the gradient.)

    Args:
        student: logits of the student, ``[batch, classes]``, ``[batch, tokens, classes]`` or
            ``[batch, classes, height, width]``.
        teacher: logits of the teacher, of the same shape, for the same classes in the same order.
        temperature: T > 0; 4 is the public benchmarks' choice.

    Raises:
        ShapeError: the shapes differ, or are none of these.
    """
    _check(student.shape, teacher.shape)
    enough("kd", student, 1)
    log_s, log_t = (F.log_softmax(_predictions(x) / temperature, dim=1) for x in (student, teacher))
    return temperature**2 * F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)


def _predictions(logits: Float[Tensor, "batch ..."]) -> Float[Tensor, "predictions classes"]:
    if logits.ndim == 4:
        logits = logits.movedim(1, -1)
    return logits.flatten(0, -2)


def _check(student: Shape, teacher: Shape) -> None:
    said = f"the student's are {tuple(student)}, the teacher's {tuple(teacher)}"
    if len(student) != len(teacher) or len(student) not in (2, 3, 4):
        raise ShapeError(
            f"kd compares logits [batch, classes], [batch, tokens, classes] or [batch, classes, height, width]; {said}."
        )
    axis = 1 if len(student) == 4 else -1
    if student[axis] != teacher[axis]:
        raise ShapeError(
            f"kd compares logits over the same classes; {said}. With other classes use label_transport, "
            "neuron_transport, wcord or another feature loss; with other tokens uld or multilevel_ot."
        )
    if tuple(student) != tuple(teacher):
        where = "samples" if len(student) == 2 else "samples, position by position"
        raise ShapeError(f"kd compares logits of the same {where}; {said}.")


class KD(TransferLoss):
    """:func:`kd` as a term. ``kd`` alone as a method means task weight .1, KD weight .9 (RepDistiller's settings).

    ``targets`` as labels per token with -100 mark the answer, whose tokens alone count; see
    :func:`~kantor.losses.sequences.aligned`. Without them all tokens count that are no padding.
    """

    name: ClassVar = "kd"
    paper: ClassVar = "arXiv 1503.02531"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "logits"
    same_classes: ClassVar = True
    takes_mask = True

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__()
        positive(self.name, temperature=temperature)
        self.temperature = temperature

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that both predict the same classes, at the same positions."""
        (s,), (t,) = student_shapes, teacher_shapes
        _check(s, t)

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`kd`."""
        student, teacher = single(student), single(teacher)
        if student.ndim == 3 and targets is not None and targets.ndim == 2:
            student, teacher, lengths, _ = aligned(self.name, student, teacher, targets)
            answer = within(lengths, student.shape[1])
            return kd(student[answer], teacher[answer], temperature=self.temperature)
        mask = kept_on_both(self.name, student, teacher, single_mask(student_mask), single_mask(teacher_mask))
        if mask is not None:
            student, teacher = student[mask], teacher[mask]
        return fair(kd(student, teacher, temperature=self.temperature), mask)

    def settings(self) -> dict[str, Any]:
        """The temperature."""
        return {"temperature": self.temperature}
