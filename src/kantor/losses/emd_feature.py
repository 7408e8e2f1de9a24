"""EMD on features: the samples of a batch as points (Lohit & Jones, WACV 2022, arXiv 2012.03907)."""

from typing import Any, ClassVar, Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from kantor import ot
from kantor.core.collectives import gather_rows
from kantor.core.errors import ConfigError, suggest
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import same_width
from kantor.losses.embed import pooled_width
from kantor.losses.features import pool
from kantor.losses.precision import transfer
from kantor.losses.settings import positive
from kantor.losses.stages import single
from kantor.ot.cost import CostKind, check_kind

Method = Literal["proximal", "exact"]


@transfer
def emd_feature(
    student: Float[Tensor, "batch dim"],
    teacher: Float[Tensor, "others dim"],
    *,
    cost: CostKind = "euclidean",
    method: Method = "proximal",
    beta: float = 0.5,
    steps: int = 50,
) -> Float[Tensor, ""]:
    """``min over plans of sum_ij P_ij c(teacher_i, student_j)``: how far a batch's features lie from the teacher's.

    Each sample is a point of mass 1/batch and may go to any other. The plan is found on the cost divided by its mean,
    so that beta needs no knowledge of the features' scale, and held; the value is in the units of the cost.

    The paper compares exact transport (EMD) with the proximal point iteration (IPOT). Its cost, beta and number of
    steps could not be read: Euclidean distance, .5 and 50 are ours.

    Args:
        student: one row per sample.
        teacher: one row per sample, of the same width.
        cost: between two samples.
        method: ``proximal``, or ``exact`` (a linear assignment; on the CPU).
        beta: the proximal step, for a cost of mean 1.
        steps: proximal steps.

    Raises:
        ShapeError: the rows have other widths, are no rows, or a set of one meets a larger one.
        ConfigError: the cost is unknown.
    """
    same_width("emd_feature", student, teacher, "The module EMDFeature projects the student where widths differ.")
    matrix = ot.cost(teacher, student, cost)
    solver = ot.Exact() if method == "exact" else ot.Proximal(beta, steps)
    plan = solver(ot.normalised(matrix.detach(), "mean")).plan
    return (plan.to(matrix.dtype) * matrix).sum()


class EMDFeature(TransferLoss):
    """:func:`emd_feature` of pooled features, of the global batch. The weight 1 is ours.

    Equal widths are compared as they are. A student of another width goes through a learned linear layer to the
    teacher's width; the teacher stays as it is, so that the two cannot agree by shrinking.

    Args:
        cost, method, beta, steps: see :func:`emd_feature`.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """

    name: ClassVar = "emd_feature"
    paper: ClassVar = "arXiv 2012.03907"
    default_weight: ClassVar = 1.0
    reads: ClassVar = "penultimate"
    pooled = True

    def __init__(
        self, cost: CostKind = "euclidean", method: Method = "proximal", beta: float = 0.5, steps: int = 50
    ) -> None:
        super().__init__()
        check_kind(cost)
        if method not in get_args(Method):
            raise ConfigError(f"emd_feature: unknown method {method!r}. {suggest(str(method), get_args(Method))}")
        positive(self.name, beta=beta, steps=steps)
        self.cost: CostKind = cost
        self.method: Method = method
        self.beta = beta
        self.steps = steps

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make the student's projection where the widths differ.

        Raises:
            ShapeError: a layer's output has no rows to compare.
        """
        (s,), (t,) = student_shapes, teacher_shapes
        mine, theirs = pooled_width(s, self.name), pooled_width(t, self.name)
        self.projection: nn.Module = nn.Identity() if mine == theirs else nn.Linear(mine, theirs)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`emd_feature`; ``student`` is pooled, and projected where it has to be."""
        s, t = self.projection(pool(single(student))), pool(single(teacher))
        return emd_feature(gather_rows(s), gather_rows(t), **self.settings())

    def settings(self) -> dict[str, Any]:
        """The cost and the solver's."""
        return {"cost": self.cost, "method": self.method, "beta": self.beta, "steps": self.steps}
