"""FSP: match the flow between successive layers (Yim et al., A Gift from Knowledge Distillation, CVPR 2017)."""

import itertools
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.losses.base import Shapes
from kantor.losses.checks import check_maps, same_samples
from kantor.losses.features import channels_of, common_grid
from kantor.losses.precision import transfer
from kantor.losses.pretraining import PretrainingLoss
from kantor.losses.stages import as_many, as_stages, paired_grids, plain


@transfer
def fsp(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Float[Tensor, ""]:
    """``sum over l of mean over samples and pairs of channels of (G_l(student) - G_l(teacher))^2``.

    ``G_l[c, d]`` is the mean over positions of channel c of layer l+1 times channel d of layer l, the finer of the two
    averaged to the coarser grid (the paper pools by maximum; RepDistiller, followed here, by mean).

    Args:
        student: two maps or more, from shallow to deep, each ``[N, C_l, H_l, W_l]``.
        teacher: as many, layer by layer of the same channels.

    Raises:
        ShapeError: the numbers of layers, the samples or the channels differ, or an output has no positions.
    """
    for s, t in as_many("fsp", student, teacher, least=2):
        check_maps("fsp", s, t)
        if channels_of(s) != channels_of(t):
            raise ShapeError(
                f"fsp compares maps of equal channels pair by pair; the student's is {tuple(s.shape)}, the teacher's "
                f"{tuple(t.shape)}."
            )
        same_samples("fsp", student[0], s)
    flows = zip(_flows(student), _flows(teacher), strict=True)
    return torch.stack([F.mse_loss(s, t) for s, t in flows]).sum()


def _flows(maps: tuple[Tensor, ...]) -> list[Float[Tensor, "n deep shallow"]]:
    flows = []
    for shallow, deep in itertools.pairwise(maps):
        low, high = (x.flatten(2) for x in common_grid(shallow, deep))
        flows.append(high @ low.transpose(1, 2) / low.shape[2])
    return flows


class FSP(PretrainingLoss):
    """:func:`fsp` in a pretraining that trains the student up to its last bound layer; then silent.

    That is the paper and RepDistiller: the flow initialises the student, the task then trains it alone (the weight
    50 of the public command lines multiplies nothing). ``joint=True`` keeps the term beside the task as well, and
    without :meth:`prepare` it is such a term too.
    """

    name: ClassVar = "fsp"
    paper: ClassVar = "CVPR 2017, A Gift from Knowledge Distillation"
    default_weight: ClassVar = 50.0
    reads: ClassVar = "stages"
    by_position = True
    on_grid = True
    trains_student: ClassVar = True

    def __init__(
        self, joint: bool = False, epochs: int = 30, lr: float = 0.05, momentum: float = 0.9, weight_decay: float = 5e-4
    ) -> None:
        super().__init__(epochs, lr, momentum, weight_decay)
        self.joint = joint

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that there are two layers or more with positions and equal channels."""
        maps = paired_grids(self.name, student_shapes, teacher_shapes)
        if len(maps) < 2 or any(s[1] != t[1] for s, t in maps):
            raise ShapeError(
                f"fsp needs two layers or more, of equal channels pair by pair; the student's are "
                f"{plain(student_shapes)}, the teacher's {plain(teacher_shapes)}."
            )

    def pretraining_loss(self, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Tensor:
        """See :func:`fsp`."""
        return fsp(student, teacher)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`fsp`; zero once pretraining is done, unless ``joint``."""
        if self.prepared and not self.joint:
            return self.silence(as_stages(student))
        return fsp(as_stages(student), as_stages(teacher))

    def settings(self) -> dict[str, Any]:
        """Whether it stays beside the task, and what pretraining is set to."""
        return {"joint": self.joint, **super().settings()}
