"""KD: match the teacher's softened predictions (Hinton, Vinyals & Dean, arXiv 1503.02531)."""

import math
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError, ShapeError, suggest
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import Shape, enough
from kantor.losses.masks import fair, kept_on_both, single_mask
from kantor.losses.precision import transfer
from kantor.losses.settings import positive
from kantor.losses.stages import single
from kantor.losses.token_rows import RowValue, predicted_rows, row_values

Divergence = Literal["forward", "reverse", "js", "skew"]
"""Of the teacher's probabilities p and the student's q: ``KL(p || q)``; ``KL(q || p)``; Jensen-Shannon, half of
``KL(p || m) + KL(q || m)`` with ``m = (p + q) / 2``; ``KL(p || .1 p + .9 q)``, DistiLLM's (arXiv 2402.03898)."""
_SKEW = 0.1


@transfer
def kd(
    student: Float[Tensor, "batch ..."],
    teacher: Float[Tensor, "batch ..."],
    *,
    temperature: float = 4.0,
    divergence: Divergence = "forward",
) -> Float[Tensor, ""]:
    """``T^2 * mean over predictions of KL(softmax(teacher / T) || softmax(student / T))``, or another divergence.

    The factor T^2 keeps the gradient's size the same for every temperature; the mean is over predictions (one a
    sample; one a token, or one a pixel, where there are several), not over classes. (Libraries differ in both, by up to
    47 times in the gradient.)

    Args:
        student: logits of the student, ``[batch, classes]``, ``[batch, tokens, classes]`` or
            ``[batch, classes, height, width]``.
        teacher: logits of the teacher, of the same shape, for the same classes in the same order.
        temperature: T > 0; 4 is the public benchmarks' choice.
        divergence: see :data:`Divergence`; those after the first are for language models, where a student is too small
            to cover all that its teacher says.

    Raises:
        ShapeError: the shapes differ, or are none of these.
        ConfigError: the divergence is unknown.
    """
    _check(student.shape, teacher.shape)
    _check_divergence(divergence)
    enough("kd", student, 1)
    s, t = _predictions(student), _predictions(teacher)
    if divergence != "forward":
        return _apart(temperature, divergence)(s, t).mean()
    log_s, log_t = (F.log_softmax(x / temperature, dim=1) for x in (s, t))
    return temperature**2 * F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)


def _apart(temperature: float, divergence: Divergence) -> RowValue:
    """Of rows of logits."""

    def value(student: Float[Tensor, "rows classes"], teacher: Float[Tensor, "rows classes"]) -> Float[Tensor, " rows"]:
        teacher = teacher.to_dense() if teacher.is_sparse else teacher
        s, t = ((x / temperature).log_softmax(1) for x in (student, teacher))
        return temperature**2 * _DIVERGENCES[divergence](s, t)

    return value


def _kl(log_p: Tensor, log_q: Tensor) -> Float[Tensor, " rows"]:
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)


def _mixed(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """``log (share p + (1 - share) q)``."""
    return torch.logaddexp(log_p + math.log(share), log_q + math.log1p(-share))


def _js(log_s: Tensor, log_t: Tensor) -> Float[Tensor, " rows"]:
    middle = _mixed(log_t, log_s, 0.5)
    return (_kl(log_t, middle) + _kl(log_s, middle)) / 2


_DIVERGENCES = {
    "forward": lambda s, t: _kl(t, s),
    "reverse": _kl,
    "js": _js,
    "skew": lambda s, t: _kl(t, _mixed(t, s, _SKEW)),
}


def _predictions(logits: Float[Tensor, "batch ..."]) -> Float[Tensor, "predictions classes"]:
    if logits.ndim == 4:
        logits = logits.movedim(1, -1)
    return logits.flatten(0, -2)


def _check_divergence(divergence: object) -> None:
    known = get_args(Divergence)
    if divergence not in known:
        raise ConfigError(f"kd: unknown divergence {divergence!r}. {suggest(str(divergence), known)}")


def _check(student: Shape, teacher: Shape) -> None:
    said = f"the student's are {tuple(student)}, the teacher's {tuple(teacher)}"
    if len(student) != len(teacher) or len(student) not in (2, 3, 4):
        raise ShapeError(
            f"kd compares logits [batch, classes], [batch, tokens, classes] or [batch, classes, height, width]; {said}."
        )
    axis = 1 if len(student) == 4 else -1
    if student[axis] != teacher[axis]:
        fewest = min(student[axis], teacher[axis])
        raise ShapeError(
            f"kd compares logits over the same classes; {said}. "
            + (
                "Where both have one tokenizer, the vocabulary of one is filled up with tokens that are never said: "
                f"cut both to the tokenizer's, logits[..., :{fewest}]. With other tokens use vocabulary_transport."
                if len(student) == 3
                else "With other classes use label_transport, neuron_transport, wcord or another feature loss."
            )
        )
    if student[axis] < 2:
        raise ShapeError(f"kd compares logits over two classes or more, of one nothing can be learnt; {said}.")
    if tuple(student) != tuple(teacher):
        where = "samples" if len(student) == 2 else "samples, position by position"
        raise ShapeError(f"kd compares logits of the same {where}; {said}.")


class KD(TransferLoss):
    """:func:`kd` as a term. ``kd`` alone as a method means task weight .1, KD weight .9 (RepDistiller's settings).

    Of logits per token those count that are no padding, and with ``targets`` as labels per token those alone that
    predict a token whose label is not -100. They are compared some at a time: beside the student's logits there is
    their gradient, and nothing else of that size.

    Args:
        temperature, divergence: see :func:`kd`.

    Raises:
        ConfigError: the temperature is not positive, or the divergence is unknown.
    """

    name: ClassVar = "kd"
    paper: ClassVar = "arXiv 1503.02531"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "logits"
    same_classes: ClassVar = True
    takes_mask = True
    takes_top = True

    def __init__(self, temperature: float = 4.0, divergence: Divergence = "forward") -> None:
        super().__init__()
        positive(self.name, temperature=temperature)
        _check_divergence(divergence)
        self.temperature = temperature
        self.divergence: Divergence = divergence

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that both predict the same classes, at the same positions."""
        (s,), (t,) = student_shapes, teacher_shapes
        _check(s, t)

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`kd`."""
        student, teacher = single(student), single(teacher)
        masks = single_mask(student_mask), single_mask(teacher_mask)
        if student.ndim == 3:
            _check(student.shape, teacher.shape)
            rows = predicted_rows(self.name, student, teacher, spans=None, targets=targets, masks=masks)
            return rows.mean(row_values(_apart(self.temperature, self.divergence), student, teacher, rows))
        mask = kept_on_both(self.name, student, teacher, *masks)
        if mask is not None:
            student, teacher = student[mask], teacher[mask]
        return fair(kd(student, teacher, temperature=self.temperature, divergence=self.divergence), mask)

    def settings(self) -> dict[str, Any]:
        """The temperature and the divergence."""
        return {"temperature": self.temperature, "divergence": self.divergence}
