"""SinKD: transport between a batch of the student's predictions and the teacher's (Cui et al., arXiv 2402.17110)."""

from typing import Any, ClassVar, get_args

from jaxtyping import Float
from torch import Tensor

from kantor import ot
from kantor.core.collectives import gather_rows
from kantor.core.errors import ConfigError, suggest
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import classes, enough
from kantor.losses.precision import transfer
from kantor.losses.recorded import TOL, Gradient, check_kernel, recorded_cost
from kantor.losses.settings import positive
from kantor.losses.stages import single

_OTHERS = "emd_feature, wcord or another feature loss"


@transfer
def sinkd(
    student: Float[Tensor, "batch classes"],
    teacher: Float[Tensor, "batch classes"],
    *,
    temperature: float = 2.0,
    epsilon: float = 0.1,
    sweeps: int = 20,
    gradient: Gradient = "recorded",
) -> Float[Tensor, ""]:
    """``.001 * sum_ij P_ij |softmax(student_i / T) - softmax(teacher_j / T)|_1``, every row of P of mass 1.

    The samples of a batch are points in the simplex. The total mass is the batch size, so the value grows with it.
    The public code is followed: .001, T 2 whatever it is told, P from 20 recorded alternations of row and column
    scaling, the gradient through all of them, and no division by the batch.

    Args:
        student: logits of the student.
        teacher: logits of the teacher, for the same classes in the same order.
        temperature: T > 0.
        epsilon: the regularisation; costs are in [0, 2].
        sweeps: recorded alternations.
        gradient: ``recorded``, or ``envelope``: .001 x batch x the converged regularised minimum
            ``<P, C> + epsilon KL(P | 1/batch^2)``, whose gradient is exact.

    Raises:
        ShapeError: the classes or the samples differ.
    """
    classes("sinkd", student.shape, teacher.shape, _OTHERS, least=2)
    enough("sinkd", student, 1)
    cost = ot.cost((student / temperature).softmax(1), (teacher / temperature).softmax(1), "l1")
    if gradient == "envelope":
        return 1e-3 * cost.shape[0] * ot.solve(cost, epsilon=epsilon, tol=TOL).value
    ones = cost.new_ones(cost.shape[0]), cost.new_ones(cost.shape[1])
    return 1e-3 * recorded_cost(cost, *ones, epsilon=epsilon, sweeps=sweeps)


class SinKD(TransferLoss):
    """:func:`sinkd` of the global batch. The weight .8 is the public code's beta, beside its KD and task terms.

    Args:
        temperature, epsilon, sweeps, gradient: see :func:`sinkd`.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """

    name: ClassVar = "sinkd"
    paper: ClassVar = "arXiv 2402.17110"
    default_weight: ClassVar = 0.8
    reads: ClassVar = "logits"
    same_classes: ClassVar = True

    def __init__(
        self, temperature: float = 2.0, epsilon: float = 0.1, sweeps: int = 20, gradient: Gradient = "recorded"
    ) -> None:
        super().__init__()
        positive(self.name, temperature=temperature)
        check_kernel(self.name, epsilon, sweeps, highest=2.0)
        if gradient not in get_args(Gradient):
            raise ConfigError(f"sinkd: unknown gradient {gradient!r}. {suggest(str(gradient), get_args(Gradient))}")
        self.temperature = temperature
        self.epsilon = epsilon
        self.sweeps = sweeps
        self.gradient: Gradient = gradient

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that both have the same number of classes.

        Raises:
            ShapeError: they have not.
        """
        (s,), (t,) = student_shapes, teacher_shapes
        classes(self.name, s, t, _OTHERS)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`sinkd`."""
        return sinkd(gather_rows(single(student)), gather_rows(single(teacher)), **self.settings())

    def settings(self) -> dict[str, Any]:
        """Temperature, regularisation, sweeps and gradient."""
        return {
            "temperature": self.temperature,
            "epsilon": self.epsilon,
            "sweeps": self.sweeps,
            "gradient": self.gradient,
        }
