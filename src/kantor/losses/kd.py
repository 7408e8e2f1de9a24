"""KD: match the teacher's softened predictions (Hinton, Vinyals & Dean, arXiv 1503.02531)."""

from typing import Any, ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.stages import single


def kd(
    student: Float[Tensor, "batch classes"], teacher: Float[Tensor, "batch classes"], *, temperature: float = 4.0
) -> Float[Tensor, ""]:
    """``T^2 * mean over the batch of KL(softmax(teacher / T) || softmax(student / T))``.

    The factor T^2 keeps the gradient's size the same for every temperature; the mean is over samples, not over
    classes. (Libraries differ in both, by up to 47 times in the gradient.)

    Args:
        student: logits of the student.
        teacher: logits of the teacher, for the same classes in the same order.
        temperature: T > 0; 4 is the public benchmarks' choice.
    """
    log_s = F.log_softmax(student / temperature, dim=-1)
    log_t = F.log_softmax(teacher / temperature, dim=-1)
    return temperature**2 * F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)


class KD(TransferLoss):
    """:func:`kd` as a term. ``kd`` alone as a method means task weight .1, KD weight .9 (RepDistiller's settings)."""

    name: ClassVar = "kd"
    paper: ClassVar = "arXiv 1503.02531"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "logits"
    same_classes: ClassVar = True

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ConfigError(f"kd: temperature must be positive, not {temperature}.")
        self.temperature = temperature

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that both have the same number of classes."""
        (s,), (t,) = student_shapes, teacher_shapes
        if len(s) != 2 or s[1:] != t[1:]:
            raise ShapeError(
                f"kd compares logits over the same classes; the student's are {tuple(s)}, the teacher's {tuple(t)}. "
                "With other classes use label_transport, neuron_transport, wcord or another feature loss."
            )

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`kd`."""
        return kd(single(student), single(teacher), temperature=self.temperature)

    def settings(self) -> dict[str, Any]:
        """The temperature."""
        return {"temperature": self.temperature}
