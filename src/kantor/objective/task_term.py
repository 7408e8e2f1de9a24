"""The task's term of a batch that is a part of a step's: cut up, or one process's share."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from kantor.core.collectives import sum_over_ranks, world_size
from kantor.tasks import Task, check_task


def task_value(
    task: Task,
    outputs: Float[Tensor, "batch ..."],
    targets: Shaped[Tensor, "labelled ..."],
    *,
    expected: float | None,
    learning: bool,
) -> Float[Tensor, ""]:
    """The task's loss, weighted so that its mean over parts and processes is the mean over all labels that count.

    Args:
        task: the task.
        outputs: the student's.
        targets: the labels.
        expected: how many labels would count here if all parts, of all processes, had alike of them; None where a
            process has its batch in one part.
        learning: a gradient is wanted, so that every process comes here.

    Raises:
        ConfigError, ShapeError: the labels are not the task's.
    """
    if expected is None and (world_size() == 1 or not learning):
        return _loss(task, outputs, targets)
    count = task.counted(targets)
    if expected is None:
        expected = labels_expected(task, targets, outputs.device)
    # A mean over no label is no number; there is nothing to learn from this part.
    return _loss(task, outputs, targets) * (count / expected) if count else 0.0 * outputs.float().sum()


def _loss(task: Task, outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "labelled ..."]) -> Tensor:
    """The task's loss; where torch does not take these labels it is said what is wrong with them."""
    try:
        return task(outputs, targets)
    except (IndexError, RuntimeError, ValueError):
        check_task(task, outputs, targets)
        raise


def labels_expected(task: Task, targets: Shaped[Tensor, "labelled ..."], device: torch.device) -> float:
    """How many labels count in a batch, a mean over processes."""
    count = torch.tensor(float(task.counted(targets)), dtype=torch.double, device=device)
    return sum_over_ranks(count).item() / world_size()
