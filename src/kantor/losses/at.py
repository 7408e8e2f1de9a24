"""AT: match where two networks look (Zagoruyko & Komodakis, arXiv 1612.03928)."""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.losses.base import Mask, Shapes, TransferLoss
from kantor.losses.checks import check_maps
from kantor.losses.masks import common_positions, kept_mean, masked_stages, zeroed
from kantor.losses.precision import transfer
from kantor.losses.stages import paired_grids


@transfer
def at(
    student: Float[Tensor, "batch ..."],
    teacher: Float[Tensor, "batch ..."],
    *,
    power: float = 2.0,
    student_mask: Mask = None,
    teacher_mask: Mask = None,
) -> Float[Tensor, ""]:
    """``mean over samples and positions of (q(student) - q(teacher))^2``, q = the attention map of unit length.

    The attention map of a sample is the mean over channels of ``|x|^power`` at every position, divided by its
    Euclidean norm over positions. The finer map is averaged to the coarser grid first.

    The paper takes the norm of the difference; RepDistiller and mdistiller, followed here, its mean square.

    Args:
        student: map ``[N, C, H, W]`` or tokens ``[N, T, D]``.
        teacher: the same; channels and grid may differ.
        power: exponent of the activations; 2 in the paper's best runs and in the public code.
        student_mask: positions of the student's that count, ``[N, positions]``; all where left out.
        teacher_mask: the same of the teacher's. With either, both sides must have the same positions.

    Raises:
        ShapeError: an output has no positions, or the samples differ.
    """
    check_maps("at", student, teacher)
    s, t, mask = common_positions("at", student, teacher, student_mask, teacher_mask)
    ours, theirs = _attention(s, power, mask), _attention(t, power, mask)
    return F.mse_loss(ours, theirs) if mask is None else kept_mean((ours - theirs).square(), mask)


def _attention(x: Tensor, power: float, mask: Mask) -> Float[Tensor, "batch positions"]:
    return F.normalize(zeroed(x, mask).abs().pow(power).mean(1).flatten(1))


class AT(TransferLoss):
    """:func:`at` summed over the stages. The weight 1000 is RepDistiller's and mdistiller's."""

    name: ClassVar = "at"
    paper: ClassVar = "arXiv 1612.03928"
    default_weight: ClassVar = 1000.0
    reads: ClassVar = "stages"
    by_position = True
    takes_mask = True
    on_grid = True

    def __init__(self, power: float = 2.0) -> None:
        super().__init__()
        if not 1 <= power < math.inf:
            raise ConfigError(f"at: power must be at least 1 and finite, not {power}.")
        self.power = power

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that every layer has positions."""
        paired_grids(self.name, student_shapes, teacher_shapes)

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`at`."""
        stages = masked_stages(student, teacher, student_mask, teacher_mask)
        return torch.stack(
            [at(s, t, power=self.power, student_mask=own, teacher_mask=their) for s, t, own, their in stages]
        ).sum()

    def settings(self) -> dict[str, Any]:
        """The exponent."""
        return {"power": self.power}
