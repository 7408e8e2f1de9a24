"""Classification: one class a sample, or shares of the classes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int, Shaped
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.tasks.metrics import Accuracy, Metric
from kantor.tasks.metrics.accuracy import confusion_of, probabilities
from kantor.tasks.task import IGNORED, Task, type_of


class Classification(Task):
    """Cross-entropy, in nats, judged by accuracy.

    Labels are class numbers ``[batch]`` of any integer type, or rows of probabilities (one-hot, or mixed) of any type.
    Maps of logits ``[batch, classes, height, width]`` with class numbers ``[batch, height, width]`` are taken too.
    """

    name = "classification"
    ignored = IGNORED
    metrics: Sequence[Metric] = (Accuracy(),)

    def loss(
        self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(outputs, _typed(outputs, targets))

    def counted(self, targets: Shaped[Tensor, "labelled ..."]) -> int:
        return len(targets) if targets.is_floating_point() else int((targets >= 0).sum())

    def loss_sums(
        self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]
    ) -> Float64[Tensor, " loss_counted"]:
        loss = F.cross_entropy(outputs, _typed(outputs, targets), reduction="sum").double()
        counted = (targets >= 0).sum() if targets.shape != outputs.shape else loss.new_tensor(targets[:, 0].numel())
        return torch.stack([loss, counted.double()])

    def confusion(
        self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]
    ) -> Int[Tensor, "classes classes"]:
        targets = targets.argmax(1) if targets.shape == outputs.shape else targets
        return confusion_of(outputs.argmax(1).flatten(), targets.flatten(), outputs.shape[1])

    def check(self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]) -> None:
        shapes = f"the logits are {list(outputs.shape)}, the targets {list(targets.shape)} of {type_of(targets)}"
        if outputs.ndim < 2:
            raise ShapeError(f"Cross-entropy takes logits [batch, classes]; {shapes}. For another task give task=.")
        if targets.shape == outputs.shape:
            _check_probabilities(targets)
            return
        if outputs.ndim == 3 and targets.shape == outputs.shape[:-1] and targets.shape[1] != outputs.shape[2]:
            raise ShapeError(
                f"Cross-entropy takes classes in the second place; {shapes}. For a label per token give "
                "task=kantor.tasks.TokenClassification(), for the next token kantor.tasks.NextToken()."
            )
        if targets.shape != outputs.shape[:1] + outputs.shape[2:]:
            wanted = list(outputs.shape[:1] + outputs.shape[2:])
            raise ShapeError(
                f"Cross-entropy takes class numbers {wanted} or probabilities {list(outputs.shape)}; {shapes}."
            )
        if targets.is_floating_point() or targets.dtype == torch.bool:
            raise ShapeError(
                f"Cross-entropy takes class numbers as integers; {shapes}. For numbers give "
                "task=kantor.tasks.Regression(), for another loss task=, such as torch.nn.functional.mse_loss."
            )
        check_classes(targets, outputs.shape[1])


def check_classes(targets: Int[Tensor, "..."], classes: int) -> None:
    """Refuse class numbers that are no class of the model's.

    Raises:
        ShapeError: names the first that is none.
    """
    wrong = targets[(targets >= classes) | ((targets < 0) & (targets != IGNORED))]
    if len(wrong) and wrong[0] < 0:
        raise ShapeError(
            f"The targets hold {wrong[0].item()}, which is no class. Samples without a label come last in a batch, and "
            f"targets are those of the others alone; or give {IGNORED}, which cross-entropy leaves out."
        )
    if len(wrong):
        raise ShapeError(
            f"The targets hold class {wrong[0].item()}, and the student has {classes} logits, for classes 0 to "
            f"{classes - 1}. Build it for as many classes as there are."
        )


def _check_probabilities(targets: Shaped[Tensor, "labelled classes ..."]) -> None:
    if probabilities(targets):
        return
    several = bool(((targets == 0) | (targets == 1)).all())
    what = "several labels a sample, or none" if several else "numbers that are no probabilities"
    task, loss = ("SeveralLabels", "binary_cross_entropy_with_logits") if several else ("Regression", "mse_loss")
    raise ShapeError(
        f"The targets {list(targets.shape)} hold {what}: cross-entropy takes one class a sample, or rows that "
        f"sum to one. Give task=kantor.tasks.{task}(), or task=torch.nn.functional.{loss} with targets in float32."
    )


def _typed(outputs: Tensor, targets: Tensor) -> Tensor:
    return targets.to(outputs.dtype) if targets.shape == outputs.shape else targets.long()
