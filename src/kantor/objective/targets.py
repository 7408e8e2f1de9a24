"""What a batch's targets are: class numbers, probabilities over classes, or several labels a sample."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from kantor.core.errors import ShapeError

Task = Callable[[Float[Tensor, "labelled classes"], Shaped[Tensor, "labelled ..."]], Float[Tensor, ""]]
"""A task loss on logits and targets; samples without a target come last, and it does not see them."""

_IGNORED = -100
"""What ``cross_entropy`` leaves out."""


def task_value(task: Task, logits: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "labelled ..."]) -> Tensor:
    """The task loss of the samples that have a target, in float32 or more.

    Cross-entropy takes class numbers of any integer type, and rows of probabilities (one-hot, or mixed) of any type.
    """
    logits = logits[: len(targets)].to(torch.promote_types(logits.dtype, torch.float32))
    if task is F.cross_entropy:
        targets = targets.to(logits.dtype) if targets.shape == logits.shape else targets.long()
    return task(logits, targets)


def check_task(task: Task, logits: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "labelled ..."]) -> None:
    """Refuse targets that the task loss cannot mean.

    Raises:
        ShapeError: they do not fit the logits; says which loss does.
    """
    if targets.ndim == 0 or len(targets) > len(logits):
        raise ShapeError(f"The batch has {len(logits)} samples and targets {list(targets.shape)}: give one to each.")
    known = logits[: len(targets)]
    if task is F.cross_entropy:
        _check_cross_entropy(known, targets)
    try:
        task_value(task, logits, targets)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise ShapeError(
            f"The task loss cannot take logits {list(known.shape)} with targets {list(targets.shape)} of "
            f"{_type(targets)}: {error}"
        ) from error


def accuracy(logits: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "labelled ..."]) -> float | None:
    """Share of the targets, in [0, 1], that the largest logit says; of probabilities their largest counts.

    None where the targets are neither class numbers nor probabilities (several labels a sample, real numbers).
    """
    logits = logits[: len(targets)]
    if targets.shape == logits.shape and targets.ndim > 1:
        return None if not _probabilities(targets) else accuracy(logits, targets.argmax(1))
    if targets.is_floating_point() or logits.ndim < 2:
        return None
    for dim in (1, -1):  # classes come second in maps, last in sequences
        predicted = logits.argmax(dim)
        if predicted.shape == targets.shape:
            counted = targets >= 0
            return (predicted == targets)[counted].double().mean().item() if counted.any() else None
    return None


def _check_cross_entropy(logits: Tensor, targets: Tensor) -> None:
    shapes = f"the logits are {list(logits.shape)}, the targets {list(targets.shape)} of {_type(targets)}"
    if logits.ndim < 2:
        raise ShapeError(f"Cross-entropy takes logits [batch, classes]; {shapes}. For another task give task=.")
    if targets.shape == logits.shape:
        if not _probabilities(targets):
            several = bool(((targets == 0) | (targets == 1)).all())
            what = "several labels a sample, or none" if several else "numbers that are no probabilities"
            loss = "binary_cross_entropy_with_logits" if several else "mse_loss"
            raise ShapeError(
                f"The targets {list(targets.shape)} hold {what}: cross-entropy takes one class a sample, or rows that "
                f"sum to one. Give task=torch.nn.functional.{loss}, with targets in float32."
            )
        return
    if logits.ndim == 3 and targets.shape == logits.shape[:-1] and targets.shape[1] != logits.shape[2]:
        raise ShapeError(
            f"Cross-entropy takes classes in the second place; {shapes}. For a label per token give "
            "task=lambda logits, targets: torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets)."
        )
    if targets.shape != logits.shape[:1] + logits.shape[2:]:
        wanted = list(logits.shape[:1] + logits.shape[2:])
        raise ShapeError(f"Cross-entropy takes class numbers {wanted} or probabilities {list(logits.shape)}; {shapes}.")
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise ShapeError(
            f"Cross-entropy takes class numbers as integers; {shapes}. For regression, or a yes or no, give task=, "
            "such as torch.nn.functional.mse_loss."
        )
    wrong = targets[(targets >= logits.shape[1]) | ((targets < 0) & (targets != _IGNORED))]
    if len(wrong) and wrong[0] < 0:
        raise ShapeError(
            f"The targets hold {wrong[0].item()}, which is no class. Samples without a label come last in a batch, and "
            f"targets are those of the others alone; or give {_IGNORED}, which cross-entropy leaves out."
        )
    if len(wrong):
        raise ShapeError(
            f"The targets hold class {wrong[0].item()}, and the student has {logits.shape[1]} logits, for classes 0 to "
            f"{logits.shape[1] - 1}. Build it for as many classes as there are."
        )


def _probabilities(targets: Tensor) -> bool:
    rows = targets.double()
    return bool((rows >= 0).all() and ((rows.sum(1) - 1).abs() < 1e-2).all())


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
