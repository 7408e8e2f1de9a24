"""WKD-L: transport of class probabilities at a cost of how unlike two classes are (Lv et al., arXiv 2412.08139)."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kantor import ot
from kantor.core.collectives import gather_rows, sum_over_ranks, world_size
from kantor.core.errors import ConfigError, ShapeError, suggest
from kantor.losses.base import Features, Shapes, TransferLoss
from kantor.losses.checks import classes, enough, index_of_targets
from kantor.losses.class_distance import class_distances
from kantor.losses.precision import transfer
from kantor.losses.recorded import TOL, Gradient, check_kernel, recorded_cost
from kantor.losses.settings import positive
from kantor.losses.stages import single

_OTHERS = "wkd_feature, wcord or another feature loss"


@transfer
def wkd_logit(
    student: Float[Tensor, "batch classes"],
    teacher: Float[Tensor, "batch classes"],
    targets: Int[Tensor, " batch"],
    cost: Float[Tensor, "classes classes"],
    *,
    transport_weight: float = 600.0,
    temperature: float = 8.0,
    epsilon: float = 0.05,
    sweeps: int = 10,
    gradient: Gradient = "recorded",
) -> Float[Tensor, ""]:
    """``mean of [-p_T(y) log p_S(y)] + transport_weight * mean of W(q_S, q_T)``.

    p are class probabilities at temperature 1, y the target. q are the probabilities at temperature T of the classes
    other than y, renormalised, and W is the regularised transport cost ``<P, C>`` between them.

    The public code adds 1e-8 to every cost, which moves W by as much and no plan: left out here.

    Args:
        student: logits of the student.
        teacher: logits of the teacher, for the same classes.
        targets: the class of each sample.
        cost: of moving probability from one class to another, at most 1, zero on the diagonal.
        transport_weight: the paper's gamma. The public configurations take 600 with T 8 (CIFAR-100, ResNet-32x4 to
            8x4), 200 with T 6 (WRN-40-2 to ShuffleNet), 30 or 25 with T 2 (ImageNet), and decay this part from epoch
            150; a weight schedule here decays both parts.
        temperature: T > 0.
        epsilon: the regularisation, in the units of the cost.
        sweeps: recorded sweeps.
        gradient: ``recorded``, as in the public code, or ``envelope``: W is then the converged regularised minimum
            ``<P, C> + epsilon KL(P | q_S q_T)``, whose gradient is exact.

    Raises:
        ShapeError: the classes of logits and cost differ, or the targets are not one class index per sample.
    """
    classes("wkd_logit", student.shape, teacher.shape, _OTHERS, least=2)
    targets = index_of_targets("wkd_logit", targets, student)
    enough("wkd_logit", student, 1)
    number = student.shape[1]
    if cost.shape != (number, number):
        raise ShapeError(
            f"wkd_logit: the cost between {number} classes is {(number, number)}; the given one is {tuple(cost.shape)}."
        )
    cost = cost.to(student.dtype)
    target = targets.unsqueeze(1)
    own = -(teacher.softmax(1).gather(1, target) * F.log_softmax(student, 1).gather(1, target)).mean()
    others = torch.ones_like(student).scatter(1, target, 0.0)
    # A mass of zero takes no part: the target's row and column need not be cut out of the cost sample by sample.
    q_s, q_t = (F.softmax((x / temperature).masked_fill(others == 0, -torch.inf), 1) for x in (student, teacher))
    if gradient == "envelope":
        transport = ot.solve(cost, q_s, q_t, epsilon=epsilon, tol=TOL).value
    else:
        transport = recorded_cost(
            cost,
            q_s,
            q_t,
            epsilon=epsilon,
            sweeps=sweeps,
            first="columns",
            start=others / (number - 1),
            floor=1e-8,
        )
    return own + transport_weight * transport.mean()


class WKDLogit(TransferLoss):
    """:func:`wkd_logit`, with a cost between classes from the teacher's logits over the training data.

    ``prepare`` reads those logits and sets ``distances`` (:func:`~kantor.losses.class_distance.class_distances`);
    the cost is ``1 - exp(-sharpen * distance)``. Two things differ from the public code, which reads the labels and,
    for CIFAR, takes the last feature map instead of the logits: a sample counts to the class the teacher predicts,
    and at most ``samples_per_class`` are kept. Until ``prepare``, all classes are equally far apart (distance 1).

    Args:
        transport_weight, temperature, epsilon, sweeps, gradient: see :func:`wkd_logit`.
        sharpen: the paper's kappa; 1, and 2 for ResNet-50 to MobileNet.
        samples_per_class: kept for the distances; they take ``classes x samples_per_class^2`` floats for a moment.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """

    name: ClassVar = "wkd_logit"
    paper: ClassVar = "arXiv 2412.08139"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "logits"
    needs_targets: ClassVar = True
    same_classes: ClassVar = True

    distances: Float[Tensor, "classes classes"]
    """How unlike two classes are, in [0, 1]."""

    def __init__(
        self,
        transport_weight: float = 600.0,
        temperature: float = 8.0,
        epsilon: float = 0.05,
        sweeps: int = 10,
        gradient: Gradient = "recorded",
        sharpen: float = 1.0,
        samples_per_class: int = 500,
    ) -> None:
        super().__init__()
        positive(self.name, transport_weight=transport_weight, temperature=temperature, sharpen=sharpen)
        check_kernel(self.name, epsilon, sweeps, highest=1.0)
        if gradient not in get_args(Gradient):
            raise ConfigError(f"wkd_logit: unknown gradient {gradient!r}. {suggest(str(gradient), get_args(Gradient))}")
        if samples_per_class < 2:
            raise ConfigError(f"wkd_logit: samples_per_class must be at least 2, not {samples_per_class}.")
        self.transport_weight = transport_weight
        self.temperature = temperature
        self.epsilon = epsilon
        self.sweeps = sweeps
        self.gradient: Gradient = gradient
        self.sharpen = sharpen
        self.samples_per_class = samples_per_class

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that both have the same number of classes, and set all of them equally far apart.

        Raises:
            ShapeError: they have not.
        """
        (s,), (t,) = student_shapes, teacher_shapes
        classes(self.name, s, t, _OTHERS, least=2)
        self.register_buffer("distances", 1.0 - torch.eye(s[1]))

    def prepare(self, batches: Iterable[tuple[Features, Features]], student: Sequence[nn.Parameter] = ()) -> None:  # noqa: ARG002
        """Set ``distances`` from the teacher's logits.

        Args:
            batches: (student, teacher) logits of the training data, of which the teacher's are read.
            student: not used.
        """
        kept: list[list[Tensor]] = [[] for _ in range(self.distances.shape[0])]
        for _, teacher in batches:
            # A global batch is dealt to processes in turn: which samples are paired must not depend on their number.
            logits = gather_rows(single(teacher).detach()).unflatten(0, (world_size(), -1)).transpose(0, 1)
            logits = logits.flatten(0, 1).float().cpu()
            for row, predicted in zip(logits, logits.argmax(1).tolist(), strict=True):
                if len(kept[predicted]) < self.samples_per_class:
                    kept[predicted].append(row)
        width = self.distances.shape[0]
        rows = [torch.stack(members) if members else torch.empty(0, width) for members in kept]
        self.distances.copy_(class_distances(rows))

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`wkd_logit`.

        Raises:
            ConfigError: no targets are given.
        """
        if targets is None:
            raise ConfigError("wkd_logit treats a sample's own class apart: it needs targets, and the batch has none.")
        value = wkd_logit(
            single(student),
            single(teacher),
            targets,
            1.0 - (-self.sharpen * self.distances).exp(),
            transport_weight=self.transport_weight,
            temperature=self.temperature,
            epsilon=self.epsilon,
            sweeps=self.sweeps,
            gradient=self.gradient,
        )
        return sum_over_ranks(value) / world_size()

    def settings(self) -> dict[str, Any]:
        """Weight, temperature, the solver's, and how the cost is made."""
        return {
            "transport_weight": self.transport_weight,
            "temperature": self.temperature,
            "epsilon": self.epsilon,
            "sweeps": self.sweeps,
            "gradient": self.gradient,
            "sharpen": self.sharpen,
            "samples_per_class": self.samples_per_class,
        }
