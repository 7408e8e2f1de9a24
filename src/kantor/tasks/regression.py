"""Regression: one or several numbers a sample."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.tasks.metrics import R2, RMSE, Metric
from kantor.tasks.task import Task, type_of


class Regression(Task):
    """Mean squared error over samples and numbers, judged by RMSE (lower is better) and R2.

    Labels are ``[batch]`` or ``[batch, numbers]``; outputs ``[batch, 1]`` go with the first. The scale of the labels is
    that of the loss: where they are far from unit size, divide them first, or the learning rate is far off.

    Args:
        unit: of the labels, to be written behind RMSE.
    """

    name = "regression"
    labels = "numbers"
    distributions = False

    def __init__(self, unit: str = "") -> None:
        self.metrics: Sequence[Metric] = (RMSE(unit), R2())

    def loss(
        self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]
    ) -> Float[Tensor, ""]:
        return F.mse_loss(_beside(outputs, targets), targets.to(outputs.dtype))

    def counted(self, targets: Shaped[Tensor, "labelled ..."]) -> int:
        return targets.numel()

    def loss_sums(
        self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]
    ) -> Float64[Tensor, " loss_counted"]:
        error = _beside(outputs, targets).double() - targets.double()
        return torch.stack([error.square().sum(), error.new_tensor(error.numel())])

    def measured(
        self, outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "labelled ..."]
    ) -> dict[str, Float64[Tensor, "..."]]:
        return super().measured(_beside(outputs[: len(targets)], targets), targets)

    def check(self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]) -> None:
        if _beside(outputs, targets).shape != targets.shape:
            raise ShapeError(
                f"Regression takes a number for each output; the outputs are {list(outputs.shape)}, the targets "
                f"{list(targets.shape)} of {type_of(targets)}."
            )
        if not targets.double().isfinite().all():
            raise ShapeError("The targets hold numbers that are not finite. Leave those samples out, or put them last.")


def _beside(outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "batch ..."]) -> Tensor:
    """One number a sample may come as a column or without one."""
    lone = outputs.shape == (*targets.shape, 1) or targets.shape == (*outputs.shape, 1)
    return outputs.reshape(targets.shape) if lone else outputs
