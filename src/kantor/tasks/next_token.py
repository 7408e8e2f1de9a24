"""Next-token prediction: what language models learn."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int, Shaped
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.tasks.classification import check_classes
from kantor.tasks.metrics import Accuracy, BitsPerByte, Metric, Perplexity
from kantor.tasks.task import IGNORED, Task, type_of

if TYPE_CHECKING:
    from kantor.data import Part


class NextToken(Task):
    """Cross-entropy of every token given those before it, in nats; judged by bits per byte of text, which no tokenizer
    distorts, or by perplexity where the tokens stand for no text.

    Outputs are ``[batch, tokens, vocabulary]``; labels are the tokens themselves ``[batch, tokens]``, -100 where one is
    not to be predicted. They are shifted here: the output at a place is compared with the token after it.

    Args:
        token_bytes: how many bytes of text each token of the vocabulary stands for. Of data that kantor reads as text
            they are counted.
    """

    name = "next_token"
    labels = "next"
    axis = -1
    ignored = IGNORED

    def __init__(self, token_bytes: Sequence[int] | None = None) -> None:
        # Of the cross-entropy, whatever loss a subclass may learn by.
        of_tokens: tuple[Metric, ...] = (Perplexity(_cross_entropy), NextTokenAccuracy(-1))
        bits = () if token_bytes is None else (BitsPerByte(_cross_entropy, token_bytes, _predicted),)
        self.metrics: Sequence[Metric] = (*bits, *of_tokens)

    def for_texts(self) -> Self:
        """Judged by bits per byte."""
        if any(isinstance(metric, BitsPerByte) for metric in self.metrics):
            return self
        judged = copy.copy(self)
        judged.metrics = (BitsPerByte(_cross_entropy, None, _predicted), *self.metrics)
        return judged

    def judged_on(self, part: "Part") -> Self:
        """With the bytes that the part's tokens stand for."""
        sizes = part.token_bytes
        if sizes is None:
            return self
        judged = copy.copy(self.for_texts())
        judged.metrics = [
            BitsPerByte(metric.loss_sums, sizes, metric.predicted) if isinstance(metric, BitsPerByte) else metric
            for metric in judged.metrics
        ]
        return judged

    def loss(
        self, outputs: Float[Tensor, "labelled tokens vocabulary"], targets: Int[Tensor, "labelled tokens"]
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(outputs[:, :-1].flatten(0, 1), targets[:, 1:].flatten().long(), ignore_index=IGNORED)

    def counted(self, targets: Int[Tensor, "labelled tokens"]) -> int:
        return int((targets[:, 1:] >= 0).sum())

    def loss_sums(
        self, outputs: Float[Tensor, "labelled tokens vocabulary"], targets: Int[Tensor, "labelled tokens"]
    ) -> Float64[Tensor, " loss_counted"]:
        return _cross_entropy(outputs, targets)

    def check(
        self, outputs: Float[Tensor, "labelled tokens vocabulary"], targets: Int[Tensor, "labelled tokens"]
    ) -> None:
        if outputs.ndim != 3 or targets.shape != outputs.shape[:2] or targets.is_floating_point():
            raise ShapeError(
                "Next-token prediction takes the tokens as labels, one for every place of outputs [batch, tokens, "
                f"vocabulary]; the outputs are {list(outputs.shape)}, the targets {list(targets.shape)} of "
                f"{type_of(targets)}."
            )
        if targets.shape[1] < 2:
            raise ShapeError("Next-token prediction needs two tokens a sample: the first is not predicted.")
        check_classes(targets, outputs.shape[2])


class NextTokenAccuracy(Accuracy):
    """The share of tokens that the output before each names."""

    def sums(
        self, outputs: Float[Tensor, "batch tokens vocabulary"], targets: Shaped[Tensor, "batch tokens"]
    ) -> Float64[Tensor, " right_counted"]:
        return super().sums(outputs[:, :-1], targets[:, 1:])


def _cross_entropy(
    outputs: Float[Tensor, "labelled tokens vocabulary"], targets: Int[Tensor, "labelled tokens"]
) -> Float64[Tensor, " loss_counted"]:
    """In nats, over the tokens that count, and their number."""
    flat = targets[:, 1:].flatten().long()
    loss = F.cross_entropy(outputs[:, :-1].flatten(0, 1), flat, ignore_index=IGNORED, reduction="sum").double()
    return torch.stack([loss, (flat >= 0).sum().double()])


def _predicted(targets: Int[Tensor, "batch tokens"]) -> Int[Tensor, " counted"]:
    """The tokens that count."""
    after = targets[:, 1:]
    return after[after >= 0].long()
