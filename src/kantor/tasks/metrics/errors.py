"""Metrics of numbers: the root of the mean squared error, and the share of the variance that is explained."""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from kantor.tasks.metrics.metric import Metric


class RMSE(Metric):
    """Root of the mean squared error over all samples and numbers, in the labels' unit. Lower is better.

    Args:
        unit: of the labels, to be written behind values.
    """

    name = "RMSE"
    higher_is_better = False

    def __init__(self, unit: str = "") -> None:
        self.unit = unit

    def sums(
        self, outputs: Float[Tensor, "batch ..."], targets: Float[Tensor, "batch ..."]
    ) -> Float64[Tensor, " squares_counted"]:
        error = outputs.double() - targets.double()
        return torch.stack([error.square().sum(), error.new_tensor(error.numel())])

    def value(self, sums: Float64[Tensor, " squares_counted"]) -> float:
        squares, counted = sums.tolist()
        return math.sqrt(squares / counted) if counted else math.nan


class R2(Metric):
    """Coefficient of determination: 1 is exact, 0 no better than the mean of the labels. A mean over the numbers of a
    sample, without those that are the same in all samples.
    """

    name = "R2"

    def sums(
        self, outputs: Float[Tensor, "batch ..."], targets: Float[Tensor, "batch ..."]
    ) -> Float64[Tensor, "4 numbers"]:
        y = targets.double().reshape(len(targets), -1)
        error = outputs.double().reshape(len(targets), -1) - y
        return torch.stack([error.square().sum(0), y.sum(0), y.square().sum(0), y.new_full(y.shape[1:], len(y))])

    def value(self, sums: Float64[Tensor, "4 numbers"]) -> float:
        squares, total, total_squares, counted = sums
        spread = total_squares - total.square() / counted
        known = spread > 1e-12 * total_squares
        return (1 - squares / spread)[known].mean().item()
