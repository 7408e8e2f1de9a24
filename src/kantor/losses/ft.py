"""FT: factor transfer between a paraphrased teacher and a translated student (Kim, Park & Kwak, arXiv 1802.04977)."""

import itertools
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kantor.losses.base import Shapes
from kantor.losses.batch_norm import BatchNorm
from kantor.losses.checks import check_maps
from kantor.losses.features import as_map, common_grid
from kantor.losses.precision import transfer
from kantor.losses.pretraining import PretrainingLoss
from kantor.losses.settings import positive
from kantor.losses.stages import map_shape, single

_SLOPE = 0.1


@transfer
def ft(
    student: Float[Tensor, "batch width h w"], teacher: Float[Tensor, "batch teacher_width teacher_h teacher_w"]
) -> Float[Tensor, ""]:
    """``mean over samples and positions of |q(student) - q(teacher)|``, q = a factor's energy map of unit length.

    The energy map is the mean over channels of squares, divided by its Euclidean norm over positions. So
    RepDistiller, followed here; the paper divides the whole factor by its norm and keeps the channels. The finer
    factor is averaged to the coarser grid.

    Args:
        student: the translator's output.
        teacher: the paraphraser's output.

    Raises:
        ShapeError: an output has no positions, or the samples differ.
    """
    check_maps("ft", student, teacher)
    s, t = common_grid(student, teacher)
    return F.l1_loss(_energy(s), _energy(t))


def _energy(x: Tensor) -> Tensor:
    return F.normalize(x.pow(2).mean(1).flatten(1))


class FT(PretrainingLoss):
    """:func:`ft` with weight 200, between a frozen paraphraser and a trained translator.

    Pretraining trains the paraphraser, a convolutional auto-encoder of the teacher's map that narrows it by
    ``rate``, on the squared error; the student is not needed for it. Its learning rate .01 is RepDistiller's for
    ResNets (.05 for others). The translator then learns with the student. Without :meth:`prepare` the paraphraser is
    a fixed random projection.
    """

    name: ClassVar = "ft"
    paper: ClassVar = "arXiv 1802.04977"
    default_weight: ClassVar = 200.0
    reads: ClassVar = "feature"
    by_position = True
    on_grid = True

    def __init__(
        self, rate: float = 0.5, epochs: int = 30, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 5e-4
    ) -> None:
        super().__init__(epochs, lr, momentum, weight_decay)
        positive(self.name, rate=rate)
        self.rate = rate

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make paraphraser and translator."""
        (s,), (t,) = student_shapes, teacher_shapes
        inputs, outputs = map_shape(self.name, s, t, s)[1], map_shape(self.name, s, t, t)[1]
        width = max(1, int(outputs * self.rate))
        self.encoder = _layers(nn.Conv2d, [outputs, outputs, width, width])
        self.decoder = _layers(nn.ConvTranspose2d, [width, width, outputs, outputs])
        self.translator = _layers(nn.Conv2d, [inputs, inputs, width, width], norm=True)
        self.encoder.requires_grad_(False)
        self.decoder.requires_grad_(False)

    def pretraining_parameters(self) -> list[nn.Parameter]:
        """The paraphraser's."""
        return [*self.encoder.parameters(), *self.decoder.parameters()]

    def pretraining_loss(self, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Tensor:  # noqa: ARG002
        """The paraphraser's squared error."""
        t = as_map(teacher[0])
        return F.mse_loss(self.decoder(self.encoder(t)), t)

    def forward(self, student, teacher, *, targets=None, ids=None) -> Tensor:  # noqa: ARG002
        """See :func:`ft`."""
        s, t = single(student), single(teacher)
        check_maps("ft", s, t)
        with torch.no_grad():
            factor = self.encoder(as_map(t))
        return ft(self.translator(as_map(s)), factor)

    def settings(self) -> dict[str, Any]:
        """How much the paraphraser narrows, and what pretraining is set to."""
        return {"rate": self.rate, **super().settings()}


def _layers(kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], widths: list[int], norm: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers.append(kind(inputs, outputs, 3, stride=1, padding=1))
        if norm:
            layers.append(BatchNorm(outputs))
        layers.append(nn.LeakyReLU(_SLOPE))
    return nn.Sequential(*layers)
