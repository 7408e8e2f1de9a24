"""AT: match where two networks look (Zagoruyko & Komodakis, arXiv 1612.03928)."""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.losses.base import Shapes, TransferLoss
from kantor.losses.checks import check_maps
from kantor.losses.features import common_grid
from kantor.losses.precision import transfer
from kantor.losses.stages import as_stages, paired_maps


@transfer
def at(
    student: Float[Tensor, "batch ..."], teacher: Float[Tensor, "batch ..."], *, power: float = 2.0
) -> Float[Tensor, ""]:
    """``mean over samples and positions of (q(student) - q(teacher))^2``, q = the attention map of unit length.

    The attention map of a sample is the mean over channels of ``|x|^power`` at every position, divided by its
    Euclidean norm over positions. The finer map is averaged to the coarser grid first.

    The paper takes the norm of the difference; RepDistiller and mdistiller, followed here, its mean square.

    Args:
        student: map ``[N, C, H, W]`` or tokens ``[N, T, D]``.
        teacher: the same; channels and grid may differ.
        power: exponent of the activations; 2 in the paper's best runs and in the public code.

    Raises:
        ShapeError: an output has no positions, or the samples differ.
    """
    check_maps("at", student, teacher)
    s, t = common_grid(student, teacher)
    return F.mse_loss(_attention(s, power), _attention(t, power))


def _attention(x: Tensor, power: float) -> Tensor:
    return F.normalize(x.abs().pow(power).mean(1).flatten(1))


class AT(TransferLoss):
    """:func:`at` summed over the stages. The weight 1000 is RepDistiller's and mdistiller's."""

    name: ClassVar = "at"
    paper: ClassVar = "arXiv 1612.03928"
    default_weight: ClassVar = 1000.0
    reads: ClassVar = "stages"
    by_position = True

    def __init__(self, power: float = 2.0) -> None:
        super().__init__()
        if not 1 <= power < math.inf:
            raise ConfigError(f"at: power must be at least 1 and finite, not {power}.")
        self.power = power

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that every layer has positions."""
        paired_maps(self.name, student_shapes, teacher_shapes)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`at`."""
        pairs = zip(as_stages(student), as_stages(teacher), strict=True)
        return torch.stack([at(s, t, power=self.power) for s, t in pairs]).sum()

    def settings(self) -> dict[str, Any]:
        """The exponent."""
        return {"power": self.power}
