"""DKD: the target class and the other classes distilled apart (Zhao et al., arXiv 2203.08679)."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import classes, enough, index_of_targets
from kantor.losses.precision import transfer
from kantor.losses.settings import not_negative, positive
from kantor.losses.stages import single

_OTHERS = "neuron_transport, wcord or another feature loss"


@transfer
def dkd(
    student: Float[Tensor, "batch classes"],
    teacher: Float[Tensor, "batch classes"],
    targets: Int[Tensor, " batch"],
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> Float[Tensor, ""]:
    """``T^2 * mean over the batch of (alpha * TCKD + beta * NCKD)``.

    With p = softmax(logits / T) and y the target, TCKD = KL between (p_y, 1 - p_y) of teacher and student, and
    NCKD = KL between the teacher's and the student's softmax over the classes other than y. Plain KD is
    TCKD + (1 - p_y of the teacher) NCKD: DKD frees the second weight from the teacher's confidence.

    Computed from log-probabilities, so a teacher that is certain gives a finite value where the public code,
    which takes the logarithm of a rounded probability, does not.

    Args:
        student: logits of the student.
        teacher: logits of the teacher, for the same classes in the same order.
        targets: the true classes.
        alpha: weight of TCKD.
        beta: weight of NCKD. The paper tunes it by pair: 8 is mdistiller's default, 2 its choice for
            ResNet-56 -> ResNet-20 and ResNet-110 -> ResNet-32.
        temperature: T > 0.

    Raises:
        ShapeError: the logits' shapes differ, or the targets are not one class index per sample.
    """
    classes("dkd", student.shape, teacher.shape, _OTHERS, least=2)
    targets = index_of_targets("dkd", targets, student)
    enough("dkd", student, 1)
    log_s, log_t = (F.log_softmax(x / temperature, dim=1) for x in (student, teacher))
    position = torch.arange(student.shape[1] - 1, device=student.device)
    others = position + (position >= targets[:, None]).long()
    other_s, other_t = log_s.gather(1, others), log_t.gather(1, others)

    def split(logs: Tensor, other: Tensor) -> Tensor:
        return torch.cat([logs.gather(1, targets[:, None]), other.logsumexp(1, keepdim=True)], dim=1)

    target_part = F.kl_div(split(log_s, other_s), split(log_t, other_t), reduction="batchmean", log_target=True)
    other_part = F.kl_div(
        F.log_softmax(other_s, dim=1), F.log_softmax(other_t, dim=1), reduction="batchmean", log_target=True
    )
    return temperature**2 * (alpha * target_part + beta * other_part)


class DKD(TransferLoss):
    """:func:`dkd` as a term of weight 1 beside a task weight of 1.

    mdistiller ramps the weight linearly over the first 20 epochs: a weight schedule, not part of the loss.
    """

    name: ClassVar = "dkd"
    paper: ClassVar = "arXiv 2203.08679"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "logits"
    needs_targets: ClassVar = True
    same_classes: ClassVar = True

    def __init__(self, alpha: float = 1.0, beta: float = 8.0, temperature: float = 4.0) -> None:
        super().__init__()
        positive(self.name, temperature=temperature)
        not_negative(self.name, alpha=alpha, beta=beta)
        self.alpha, self.beta, self.temperature = alpha, beta, temperature

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that both have the same classes, at least two."""
        (s,), (t,) = student_shapes, teacher_shapes
        classes(self.name, s, t, _OTHERS, least=2)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`dkd`."""
        if targets is None:
            raise ConfigError("dkd splits the classes at the true one, so it needs targets; this batch has none.")
        return dkd(
            single(student), single(teacher), targets, alpha=self.alpha, beta=self.beta, temperature=self.temperature
        )

    def settings(self) -> dict[str, Any]:
        """Both weights and the temperature."""
        return {"alpha": self.alpha, "beta": self.beta, "temperature": self.temperature}
