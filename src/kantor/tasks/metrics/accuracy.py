"""Accuracy: the share of labels that the largest output names."""

import torch
from jaxtyping import Bool, Float, Float64, Int, Shaped
from torch import Tensor

from kantor.tasks.metrics.metric import Metric
from kantor.tasks.scale import SHARE


class Accuracy(Metric):
    """Share of the labels, in [0, 1], that the largest output says; of rows of probabilities their largest counts.

    Negative labels are left out. Labels that are neither class numbers nor probabilities do not count, so that there
    is no accuracy of them.

    Args:
        axis: of the classes in the outputs; None for the second, or the last where labels fit that alone.
        name: another name, such as ``pixel accuracy``.
    """

    unit = SHARE

    def __init__(self, axis: int | None = None, name: str = "accuracy") -> None:
        self.axis, self.name = axis, name

    def sums(
        self, outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "batch ..."]
    ) -> Float64[Tensor, " right_counted"]:
        right, counted = self._right(outputs, targets)
        return torch.stack([(right & counted).sum(), counted.sum()]).double()

    def value(self, sums: Float64[Tensor, " right_counted"]) -> float:
        right, counted = sums.tolist()
        return right / counted if counted else float("nan")

    def _right(self, outputs: Tensor, targets: Tensor) -> tuple[Bool[Tensor, "..."], Bool[Tensor, "..."]]:
        nothing = torch.zeros(1, dtype=torch.bool, device=outputs.device)
        if targets.shape == outputs.shape and targets.ndim > 1:
            if not probabilities(targets):
                return nothing, nothing
            targets = targets.argmax(1)
        if targets.is_floating_point() or outputs.ndim < 2:
            return nothing, nothing
        for axis in (1, -1) if self.axis is None else (self.axis,):  # classes come second in maps, last in sequences
            predicted = outputs.argmax(axis)
            if predicted.shape == targets.shape:
                return predicted == targets, targets >= 0
        return nothing, nothing


def probabilities(targets: Shaped[Tensor, "batch classes ..."]) -> bool:
    """Whether every row along the second axis holds shares that sum to one."""
    rows = targets.double()
    return bool((rows >= 0).all() and ((rows.sum(1) - 1).abs() < 1e-2).all())


def confusion_of(
    predicted: Int[Tensor, " labels"], targets: Int[Tensor, " labels"], classes: int
) -> Int[Tensor, "classes classes"]:
    """``[target, prediction]``: how often the one was taken for the other; labels outside the classes do not count."""
    counted = (targets >= 0) & (targets < classes)
    places = torch.where(counted, targets.long() * classes + predicted, classes * classes)  # the last holds the others
    return torch.bincount(places, minlength=classes * classes + 1)[:-1].reshape(classes, classes)
