"""Label transport: distil across label spaces (after arXiv 2204.11526, "Selective Cross-Task Distillation")."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from kantor import ot
from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import enough
from kantor.losses.precision import transfer
from kantor.losses.settings import not_negative, positive
from kantor.losses.stages import single
from kantor.ot.problem import check_positive


@dataclass(frozen=True)
class LabelCost:
    """What it costs to say one class where another is meant, within and across two label sets, on one scale.

    Args:
        cross: from each teacher class to each student class.
        student: between student classes; symmetric, with a zero diagonal.
        teacher: between teacher classes, likewise.
    """

    cross: Float[Tensor, "teacher_classes student_classes"]
    student: Float[Tensor, "student_classes student_classes"] | None = None
    teacher: Float[Tensor, "teacher_classes teacher_classes"] | None = None

    def __post_init__(self) -> None:
        if self.cross.ndim != 2:
            raise ShapeError(f"A label cost is [teacher classes, student classes]; this one is {_shape(self.cross)}.")
        for name, own, size in (("student", self.student, 1), ("teacher", self.teacher, 0)):
            if own is not None and own.shape != (self.cross.shape[size],) * 2:
                raise ShapeError(
                    f"The cost between {name} classes is {_shape(own)}, beside {_shape(self.cross)} across: it must "
                    f"be square, of side {self.cross.shape[size]}."
                )
        for name, own in (("cross", self.cross), ("student", self.student), ("teacher", self.teacher)):
            if own is not None and not (torch.isfinite(own).all() and (own >= 0).all()):
                raise NonFiniteError(f"The {name} label cost holds entries that are negative or not finite.")

    def debiasing(self) -> tuple[Tensor, Tensor]:
        """The costs between student classes and between teacher classes.

        Where they were not given, a square, symmetric ``cross`` with a zero diagonal is both: one label set.

        Raises:
            ConfigError: they were not given and ``cross`` is across two label sets.
        """
        if self.student is not None and self.teacher is not None:
            return self.student, self.teacher
        cross = self.cross
        same = cross.shape[0] == cross.shape[1] and torch.equal(cross, cross.T) and not cross.diagonal().any()
        if not same:
            raise ConfigError(
                "Debiasing across two label sets needs the costs within each of them too, on the scale of the cost "
                "across. Give LabelCost(cross, student, teacher), or debiased=False."
            )
        return cross, cross

    def map(self, function: Callable[[Tensor], Tensor]) -> "LabelCost":
        """``function`` on each matrix."""
        student, teacher = (None if x is None else function(x) for x in (self.student, self.teacher))
        return LabelCost(function(self.cross), student, teacher)


@transfer
def label_transport(
    student: Float[Tensor, "batch student_classes"],
    teacher: Float[Tensor, "batch teacher_classes"],
    cost: Float[Tensor, "teacher_classes student_classes"] | LabelCost,
    *,
    temperature: float = 1.0,
    epsilon: float = 0.05,
    sharpening: float = 0.0,
    debiased: bool = True,
    tol: float = 1e-3,
) -> Float[Tensor, ""]:
    """``mean over the batch of S(softmax(teacher / T), softmax(student / T))`` under the label cost M.

    ``S(p, q) = W(p, q) - W(p, p) / 2 - W(q, q) / 2`` where ``W(p, q)`` is the least ``<P, M> + epsilon KL(P | p q^T)``
    over plans P from p to q. With ``debiased=False``, ``S = W``, which has its minimum at a sharper q than p. With one
    label set, a cost of 0 and 1 and epsilon to 0, S is the total variation distance. The gradient in the student's
    probabilities is the dual potential on their side; zero probabilities are legal.

    What is verified of the paper is that a Sinkhorn distance under the semantic relation of the labels is minimised
    from the teacher's to the student's prediction. It is not known to state epsilon, temperature, sharpening or
    debiasing: those are our choices. There is no factor T^2, since the value is in the cost's units at every T.

    Args:
        student: logits over the student's classes.
        teacher: logits over the teacher's classes; other classes, the same, or some of them.
        cost: a matrix, or the matrices within each label set too, which debiasing across two sets needs.
        temperature: T > 0.
        epsilon: regularisation, in the cost's units (the costs that kantor makes from names have mean 1).
        sharpening: kappa > 0 puts ``1 - exp(-kappa M)`` in the place of M, so that far is not farther than far.
        debiased: subtract the two self terms.
        tol: L1 marginal error at which a sample's transport is solved.

    Raises:
        ShapeError: the logits are not ``[batch, classes]`` of the cost's sizes.
        ConfigError: debiasing lacks costs, see :meth:`LabelCost.debiasing`; a setting is out of range.
    """
    cost = cost if isinstance(cost, LabelCost) else LabelCost(cost)
    _check_classes(student.shape, teacher.shape, cost)
    enough("label_transport", student, 1)
    check_positive("temperature", temperature)
    dtype = torch.promote_types(student.dtype, teacher.dtype)
    cost = cost.map(lambda x: sharpened(x.to(student.device, dtype), sharpening))
    p = torch.softmax(teacher.to(dtype) / temperature, dim=-1)
    q = torch.softmax(student.to(dtype) / temperature, dim=-1)
    solver = ot.solver_for("auto", epsilon, tol)
    value = solver(cost.cross, p, q).value
    if debiased:
        among_student, among_teacher = cost.debiasing()
        value = value - 0.5 * (solver(among_teacher, p, p).value + solver(among_student, q, q).value)
    return value.mean()


def sharpened(cost: Float[Tensor, "n m"], kappa: float) -> Float[Tensor, "n m"]:
    """``1 - exp(-kappa cost)`` (as in WKD, arXiv 2412.08139); the cost itself for kappa 0.

    Raises:
        ConfigError: kappa is negative.
    """
    if not kappa >= 0:
        raise ConfigError(f"sharpening is 0 (none) or more, not {kappa}.")
    return cost if kappa == 0 else -torch.expm1(-kappa * cost)


class LabelTransport(TransferLoss):
    """:func:`label_transport` as a term.

    Args:
        cost: the label cost; None where the study makes it from the class names (``--label-cost``).
        temperature, epsilon, sharpening, debiased, tol: see :func:`label_transport`.
    """

    name: ClassVar = "label_transport"
    paper: ClassVar = "arXiv 2204.11526"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "logits"
    needs_label_cost: ClassVar = True

    def __init__(
        self,
        cost: Float[Tensor, "teacher_classes student_classes"] | LabelCost | None = None,
        *,
        temperature: float = 1.0,
        epsilon: float = 0.05,
        sharpening: float = 0.0,
        debiased: bool = True,
        tol: float = 1e-3,
    ) -> None:
        super().__init__()
        positive(self.name, temperature=temperature, epsilon=epsilon, tol=tol)
        not_negative(self.name, sharpening=sharpening)
        self.temperature, self.epsilon, self.sharpening = temperature, epsilon, sharpening
        self.debiased, self.tol = debiased, tol
        self.cost: LabelCost | None = None
        if cost is not None:
            self.use(cost)

    def use(self, cost: Float[Tensor, "teacher_classes student_classes"] | LabelCost) -> None:
        """Take the label cost. It is a setting, so it is not among the saved state.

        Raises:
            ConfigError: debiasing lacks costs, see :meth:`LabelCost.debiasing`.
        """
        cost = cost if isinstance(cost, LabelCost) else LabelCost(cost)
        if self.debiased:
            cost = LabelCost(cost.cross, *cost.debiasing())
        self.cost = cost

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that there is a cost, of the logits' sizes."""
        (s,), (t,) = student_shapes, teacher_shapes
        _check_classes(s, t, self._known())

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`label_transport`."""
        return label_transport(
            single(student),
            single(teacher),
            self._known(),
            temperature=self.temperature,
            epsilon=self.epsilon,
            sharpening=self.sharpening,
            debiased=self.debiased,
            tol=self.tol,
        )

    def settings(self) -> dict[str, Any]:
        """Temperature, epsilon, sharpening, debiasing."""
        return {
            "temperature": self.temperature,
            "epsilon": self.epsilon,
            "sharpening": self.sharpening,
            "debiased": self.debiased,
        }

    def _known(self) -> LabelCost:
        if self.cost is None:
            raise ConfigError(
                "label_transport needs a label cost: give --label-cost glove:FILE (or another that `kantor distill "
                "--help` lists) or leave the method out (--unfit skip does); in your own loop, LabelTransport(cost)."
            )
        return self.cost


def _check_classes(student: torch.Size, teacher: torch.Size, cost: LabelCost) -> None:
    fits = len(student) == len(teacher) == 2 and (teacher[1], student[1]) == tuple(cost.cross.shape)
    if not fits or student[0] != teacher[0]:
        raise ShapeError(
            "label_transport compares logits [batch, classes] of the same samples; the student's are "
            f"{tuple(student)}, the teacher's {tuple(teacher)}, and the label cost [teacher classes, student classes] "
            f"is {_shape(cost.cross)}."
        )


def _shape(x: Tensor) -> str:
    return str(list(x.shape))
