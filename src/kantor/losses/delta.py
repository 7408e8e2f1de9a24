"""DELTA: keep the source's feature maps, the useful channels most (Li et al., arXiv 1901.09229)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kantor.capture import call
from kantor.capture.hooks import changed
from kantor.capture.layout import logits_of
from kantor.core.collectives import sum_over_ranks
from kantor.core.errors import ConfigError, ShapeError
from kantor.core.inputs import Inputs
from kantor.core.modes import as_evaluated
from kantor.losses.base import Mask, Shapes, TransferLoss
from kantor.losses.checks import same_shape
from kantor.losses.features import pool
from kantor.losses.masks import kept_on_both, masked_stages
from kantor.losses.precision import transfer
from kantor.losses.settings import positive
from kantor.losses.stages import paired


@transfer
def delta(
    student: Float[Tensor, "batch ..."],
    teacher: Float[Tensor, "batch ..."],
    attention: Float[Tensor, " channels"],
    *,
    student_mask: Mask = None,
    teacher_mask: Mask = None,
) -> Float[Tensor, ""]:
    """``1/2 * sum over samples and channels of C attention_c mean over positions of (student - teacher)^2``.

    The value is a sum over the batch, as in the authors' code and the Transfer-Learning-Library: it grows with it.

    Args:
        student: the layer of the network that is fine-tuned: map, tokens or vectors.
        teacher: the same layer of the source, of the same shape; no gradient flows to it.
        attention: one weight per channel, summing to one.
        student_mask: of tokens, those that count; all where left out.
        teacher_mask: the same of the teacher's.

    Raises:
        ShapeError: the outputs have other shapes, or the attention other channels.
    """
    same_shape("delta", student, teacher, dims=(2, 3, 4, 5))
    channels = student.shape[2 if student.ndim == 3 else 1]
    if attention.shape != (channels,):
        raise ShapeError(
            f"delta weighs each of the layer's {channels} channels {tuple(student.shape)}; the attention is "
            f"{tuple(attention.shape)}."
        )
    squares = (student - teacher).square()
    mask = kept_on_both("delta", student, teacher, student_mask, teacher_mask)
    if mask is not None:
        per_channel = pool(squares, mask)
    else:
        squares = squares.transpose(1, 2) if squares.ndim == 3 else squares
        per_channel = squares.flatten(2).mean(2) if squares.ndim > 2 else squares
    return 0.5 * attention.numel() * (per_channel * attention).sum()


def channel_attention(increase: Float[Tensor, " channels"], *, temperature: float = 5.0) -> Float[Tensor, " channels"]:
    """``softmax(z / temperature)``, z the loss increases less their mean, over their (population) deviation.

    Args:
        increase: by how much the loss grows when a channel is removed, per channel.
        temperature: 5 in both public codes.
    """
    x = increase.double()
    deviation = x.std(correction=0)
    z = (x - x.mean()) / deviation if deviation > 0 else torch.zeros_like(x)
    return F.softmax(z / temperature, dim=0).float()


@torch.no_grad()
def loss_increases(
    network: nn.Module,
    layers: Sequence[str],
    batches: Iterable[tuple[Inputs, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> list[Float[Tensor, " channels"]]:
    """By how much the loss grows when one channel of one layer is removed, for every channel, meaned over batches.

    Costs a forward pass per channel and batch (the public code takes 4 to 10 batches). A channel is removed by
    setting it to zero in the layer's output, which for a convolution without bias equals zeroing the filter's
    weights, as the public code does.

    Args:
        network: the source with a classifier fitted to the task; maps inputs to logits. Run in evaluation mode.
        layers: module paths whose outputs are ``[N, C, ...]`` with channels second, or tokens ``[N, T, C]``.
        batches: (inputs, targets).
        loss: of (logits, targets), a mean over the batch.

    Raises:
        ConfigError: there is no batch.
    """
    sums: list[Tensor | float] = [0.0] * len(layers)
    count = 0
    with as_evaluated(network):
        for inputs, targets in batches:
            unchanged = loss(_logits(network, inputs), targets)
            for place, path in enumerate(layers):
                removed = [loss(out, targets) for out in _without_each_channel(network, path, inputs)]
                sums[place] = sums[place] + (torch.stack(removed) - unchanged)
            count += 1
    if not count:
        raise ConfigError("delta measures what each channel is worth on batches of the task, but was given none.")
    return [total / count for total in sums if isinstance(total, Tensor)]


def _without_each_channel(network: nn.Module, path: str, inputs: Inputs) -> Iterable[Tensor]:
    channel, channels = 0, 1

    def remove(output: Tensor) -> Tensor:
        nonlocal channels
        place = 2 if output.ndim == 3 else 1
        channels = output.shape[place]
        return output.index_fill(place, torch.tensor([channel], device=output.device), 0.0)

    with changed(network, path, remove):
        while channel < channels:
            yield _logits(network, inputs)
            channel += 1


def _logits(network: nn.Module, inputs: Inputs) -> Tensor:
    return logits_of(call(network, inputs), "the source")


class Delta(TransferLoss):
    """:func:`delta` summed over the stages, with weight .01 (both public codes; .1 for some sets).

    Student and source are the same architecture. The channels' attention comes from :func:`loss_increases`, handed
    over by :meth:`attend` before training (a study measures it at step 0, with a classifier fitted to the source's
    features) and kept in the state dict; without it all channels weigh the same. The public code also decays the
    classifier by .01 (``delta+l2_sp@alpha=0``) and pairs the last convolutions of each stage,
    before their batch norm: bind those paths to follow it to the letter. Under several processes the sum is the
    global batch's.
    """

    name: ClassVar = "delta"
    paper: ClassVar = "arXiv 1901.09229"
    default_weight: ClassVar = 0.01
    reads: ClassVar = "stages"
    by_position = True
    takes_mask = True

    def __init__(self, temperature: float = 5.0) -> None:
        super().__init__()
        positive(self.name, temperature=temperature)
        self.temperature = temperature
        self.layers = 0

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Check that shapes agree; all channels weigh the same at first."""
        pairs = paired(self.name, student_shapes, teacher_shapes)
        for place in range(self.layers):  # of a check that was refused
            delattr(self, f"attention_{place}")
        for place, (s, t) in enumerate(pairs):
            if s[1:] != t[1:] or len(s) not in (2, 3, 4, 5):
                raise ShapeError(
                    f"delta keeps the maps of the network the student started from; the student's layer is {tuple(s)}, "
                    f"the teacher's {tuple(t)}. They must be the same layer of the same architecture."
                )
            channels = s[2] if len(s) == 3 else s[1]
            self.register_buffer(f"attention_{place}", torch.full((channels,), 1.0 / channels))
        self.layers = len(pairs)

    def attend(self, increases: Sequence[Float[Tensor, " channels"]]) -> None:
        """Weigh channels by what the loss loses without them, one tensor per bound layer.

        Raises:
            ShapeError: another number of layers or channels than bound.
        """
        expected = [tuple(attention.shape) for attention in self.attention]
        given = [tuple(x.shape) for x in increases]
        if given != expected:
            raise ShapeError(f"delta's layers have channels {expected}; the loss increases have {given}.")
        for attention, increase in zip(self.attention, increases, strict=True):
            attention.copy_(channel_attention(increase, temperature=self.temperature))

    @property
    def attention(self) -> list[Tensor]:
        """The weight of every channel, layer by layer; each sums to one."""
        return [self.get_buffer(f"attention_{place}") for place in range(self.layers)]

    def forward(self, student, teacher, *, targets=None, ids=None, student_mask=None, teacher_mask=None) -> Tensor:  # noqa: ARG002
        """See :func:`delta`."""
        stages = zip(masked_stages(student, teacher, student_mask, teacher_mask), self.attention, strict=True)
        terms = [delta(s, t, a, student_mask=own, teacher_mask=their) for (s, t, own, their), a in stages]
        return sum_over_ranks(torch.stack(terms).sum())

    def settings(self) -> dict[str, Any]:
        """The temperature of the channels' attention."""
        return {"temperature": self.temperature}
