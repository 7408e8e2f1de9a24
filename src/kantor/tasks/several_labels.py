"""Several labels a sample: each is true or not, whatever the others are."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.tasks.metrics import F1, Metric
from kantor.tasks.task import Task, type_of


class SeveralLabels(Task):
    """Binary cross-entropy of every label, in nats, a mean over labels and samples; judged by micro and macro F1.

    Labels are 0 or 1, ``[batch, labels]`` of any type, or probabilities. The mean average precision that image data
    sets are often judged by ranks all samples of a data set, which no sums over batches can tell.
    """

    name = "several_labels"
    labels = "several"
    distributions = False
    metrics: Sequence[Metric] = (F1(), F1("macro"))

    def loss(
        self, outputs: Float[Tensor, "labelled labels"], targets: Shaped[Tensor, "labelled labels"]
    ) -> Float[Tensor, ""]:
        return F.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype))

    def counted(self, targets: Shaped[Tensor, "labelled labels"]) -> int:
        return targets.numel()

    def loss_sums(
        self, outputs: Float[Tensor, "labelled labels"], targets: Shaped[Tensor, "labelled labels"]
    ) -> Float64[Tensor, " loss_counted"]:
        loss = F.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype), reduction="sum").double()
        return torch.stack([loss, loss.new_tensor(targets.numel())])

    def check(self, outputs: Float[Tensor, "labelled labels"], targets: Shaped[Tensor, "labelled labels"]) -> None:
        if targets.shape != outputs.shape or outputs.ndim != 2:
            raise ShapeError(
                f"Several labels a sample are a matrix of 0 and 1, as wide as the outputs; the outputs are "
                f"{list(outputs.shape)}, the targets {list(targets.shape)} of {type_of(targets)}."
            )
        if bool(((targets < 0) | (targets > 1)).any()):
            raise ShapeError(
                f"Several labels a sample are 0 or 1, and the targets hold {targets.min().item():g} to "
                f"{targets.max().item():g}. For numbers give the task regression."
            )
