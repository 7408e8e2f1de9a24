"""Metrics that a loss makes: itself, perplexity, bits per byte."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Shaped
from torch import Tensor

from kantor.tasks.metrics.metric import Metric

LossSums = Callable[[Tensor, Tensor], Float64[Tensor, " loss_counted"]]
"""Of outputs and targets: the sum of a loss over the labels that count, and their number."""


class MeanLoss(Metric):
    """The loss itself, over all labels that count. Lower is better.

    Args:
        loss_sums: the task's.
    """

    name = "loss"
    higher_is_better = False

    def __init__(self, loss_sums: LossSums) -> None:
        self.loss_sums = loss_sums

    def sums(
        self, outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "batch ..."]
    ) -> Float64[Tensor, " loss_counted"]:
        return self.loss_sums(outputs, targets)

    def value(self, sums: Float64[Tensor, " loss_counted"]) -> float:
        loss, counted = sums.tolist()
        return loss / counted if counted else math.nan


class Perplexity(MeanLoss):
    """``exp`` of the mean loss in nats: among how many tokens the model is undecided. Lower is better."""

    name = "perplexity"

    def value(self, sums: Float64[Tensor, " loss_counted"]) -> float:
        return math.exp(min(super().value(sums), 700.0))  # beyond it a float has no room


class BitsPerByte(Metric):
    """The loss in bits over the bytes that the predicted tokens stand for: comparable between vocabularies. Lower is
    better.

    Args:
        loss_sums: the task's, in nats.
        token_bytes: how many bytes each token of the vocabulary stands for; None where that is not known yet, and
            nothing is said.
        predicted: the labels that count, of targets.
    """

    name = "bits per byte"
    higher_is_better = False

    def __init__(
        self,
        loss_sums: LossSums,
        token_bytes: Sequence[float] | Float64[np.ndarray, " vocabulary"] | None,
        predicted: Callable[[Int[Tensor, "batch tokens"]], Int[Tensor, " counted"]],
    ) -> None:
        self.loss_sums, self.predicted = loss_sums, predicted
        self.token_bytes = None if token_bytes is None else torch.as_tensor(token_bytes, dtype=torch.float64)

    def sums(
        self, outputs: Float[Tensor, "batch tokens vocabulary"], targets: Int[Tensor, "batch tokens"]
    ) -> Float64[Tensor, " loss_bytes"]:
        if self.token_bytes is None:
            return torch.zeros(2, dtype=torch.float64, device=outputs.device)
        loss = self.loss_sums(outputs, targets)[0]
        return torch.stack([loss, self.token_bytes.to(loss.device)[self.predicted(targets)].sum()])

    def value(self, sums: Float64[Tensor, " loss_bytes"]) -> float:
        loss, read = sums.tolist()
        return loss / math.log(2) / read if read else math.nan
