"""OTCE's weight-free form: conditional entropy of labels coupled by transport (Tan et al., CVPR 2021)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor import ot
from kantor.faculty.scores.leep import negative_conditional_entropy


def otce(
    source: tuple[Float[Tensor, "source_samples dim"], Int[Tensor, " source_samples"]],
    target: tuple[Float[Tensor, "samples dim"], Int[Tensor, " samples"]],
) -> float:
    """OT-based NCE, ``-H(Y_target | Y_source)`` in nats, at most 0.

    Source and target samples, uniform masses, are coupled by exact transport under the squared Euclidean distance of
    the teacher's features; the coupling's mass between classes is their joint distribution. The paper's full score
    adds the transport cost by weights fitted on auxiliary tasks; its authors recommend this where there are none.

    Args:
        source: features and labels of samples of the teacher's own task (about 1,000).
        target: features and labels of target samples. Other than equal numbers need the extra ``emd``.

    Raises:
        KantorError: POT is needed and not installed.
    """
    (x, source_labels), (y, labels) = source, target
    plan = ot.solve(ot.cost(x.double(), y.double()), method="exact").plan
    joint = plan.new_zeros(int(source_labels.max()) + 1, int(labels.max()) + 1)
    pairs = source_labels[:, None].expand_as(plan), labels[None].expand_as(plan)
    return negative_conditional_entropy(joint.index_put_(pairs, plan, accumulate=True))


def matched(
    source: tuple[Float[Tensor, "n dim"], Int[Tensor, " n"]],
    target: tuple[Float[Tensor, "m dim"], Int[Tensor, " m"]],
    largest: int = 1000,
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Equally many of both, at most ``largest``: then exact transport is an assignment, and needs SciPy alone."""
    count = min(len(source[1]), len(target[1]), largest)

    def some(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.linspace(0, len(labels) - 1, count).round().long()
        return x[rows], labels[rows]

    return some(*source), some(*target)
