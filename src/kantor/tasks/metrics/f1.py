"""F1 of several labels a sample: how well what is said and what is true agree, whatever is neither."""

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from kantor.tasks.metrics.metric import Metric
from kantor.tasks.scale import SHARE


class F1(Metric):
    """``2 TP / (2 TP + FP + FN)``, a label being said where its output is above 0 (a probability above one half).

    Args:
        average: ``micro`` counts all labels together; ``macro`` is the mean over the labels, rare ones as much as
            frequent ones, without those that neither occur nor are said.
    """

    unit = SHARE

    def __init__(self, average: str = "micro") -> None:
        self.average = average
        self.name = "F1" if average == "micro" else f"{average} F1"

    def sums(
        self, outputs: Float[Tensor, "batch labels"], targets: Shaped[Tensor, "batch labels"]
    ) -> Float64[Tensor, "3 labels"]:
        said, true = outputs > 0, targets > 0.5
        return torch.stack([(said & true).sum(0), (said & ~true).sum(0), (~said & true).sum(0)]).double()

    def value(self, sums: Float64[Tensor, "3 labels"]) -> float:
        sums = sums.sum(1, keepdim=True) if self.average == "micro" else sums
        both, one = 2 * sums[0], sums[1] + sums[2]
        known = both + one > 0
        return (both / (both + one))[known].mean().item()
