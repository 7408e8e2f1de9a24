"""Metrics and loss of a model on a part of the data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kantor.capture import call
from kantor.capture.layout import logits_of
from kantor.core.errors import DataError, NonFiniteError, ShapeError
from kantor.core.modes import as_evaluated
from kantor.data import Augment, Batch, Loader, Part
from kantor.objective.teachers import some_ids
from kantor.tasks import Classification, Scale, Task, check_task
from kantor.tasks.scale import ACCURACY
from kantor.tasks.task import labelled

_CLASSIFICATION = Classification()
_MOST_OUTPUTS = 1 << 25
"""Numbers that a language model may say at once: 128 MiB."""


@dataclass(frozen=True)
class Scores:
    """What a model scores on a part."""

    metrics: Mapping[str, float]
    """Every metric of the task by its name; those of which the part says nothing are left out."""
    loss: float
    """The task's, a mean over the labels that count: for classification cross-entropy, in nats."""
    samples: int
    confusion: list[list[int]] = field(default_factory=list)
    """``confusion[target][prediction]``: counts; empty where the task's outputs name no class."""
    scales: tuple[Scale, ...] = (ACCURACY,)
    """Of the metrics; the first is what the model is judged by."""

    @property
    def scale(self) -> Scale:
        """Of the metric that the model is judged by."""
        return self.scales[0]

    @property
    def value(self) -> float:
        """The metric that the model is judged by."""
        return self.metrics[self.scale.name]

    @property
    def accuracy(self) -> float:
        """The share that is right, where that is among the metrics."""
        return self.metrics["accuracy"]

    def said(self, part: str) -> str:
        """Every metric in words.

        Args:
            part: what it was scored on.
        """
        if self.scale == ACCURACY:
            labels = sum(map(sum, self.confusion)) or self.samples  # a sample may have one for every token
            of = "" if labels == self.samples else f"{labels:,} labels of "
            return f"{self.scale.text(self.value)} of {of}{self.samples:,} {part} samples right"
        told = [s.said(self.metrics[s.name], 2) for s in self.scales if s.name in self.metrics]
        return f"{', '.join(told)} on {self.samples:,} {part} samples"


@torch.no_grad()
def evaluate(
    model: nn.Module,
    part: Part,
    *,
    task: Task = _CLASSIFICATION,
    batch_size: int = 256,
    device: torch.device | None = None,
    role: str = "student",
) -> Scores:
    """Run ``model`` in eval mode over ``part``, in order and without augmentation; its parts' modes are restored.

    What the metrics add up is added over all samples, so that the last, shorter batch counts as what it is.

    Args:
        model: maps inputs to logits, or whatever the task's outputs are.
        part: what to score it on.
        task: what it is judged by.
        batch_size: samples at once.
        device: where the model is; batches are moved there.
        role: whose input it sees.

    Raises:
        DataError: the part's labels do not fit the model's outputs, as where it has fewer than there are classes; or
            the metric is of nothing there.
        NonFiniteError: it says NaN or infinity of a sample, so that nothing can be said of it.
    """
    with as_evaluated(model):
        part = part.seen_by(role)
        return _scores(model, part, task.judged_on(part), role, samples_at_once(part, role, batch_size), device)


def samples_at_once(part: Part, role: str, most: int) -> int:
    """So many samples, at most ``most``, that what a language model says of each token fits into memory."""
    if role not in part.tokenizers or part.is_classes:
        return most
    tokens, vocabulary = part.input_shapes[role]
    return max(1, min(most, _MOST_OUTPUTS // (tokens * vocabulary)))


def _scores(
    model: nn.Module, part: Part, task: Task, role: str, batch_size: int, device: torch.device | None
) -> Scores:
    sums: dict[str, Tensor] = {}
    confusion: Tensor | None = None
    loader = Loader(part, batch_size, seed=0, augment=Augment.named("none"), shuffle=False, drop_last=False)
    for batch in loader.epoch(0):
        batch = batch.to(device) if device is not None else batch
        assert batch.targets is not None
        logits = logits_of(call(model, batch.inputs[role]), "the model", batch=len(batch)).float()
        known = labelled(logits, batch.targets)
        try:
            check_task(task, logits, batch.targets) if not sums else task.check(known, batch.targets)
        except ShapeError as error:
            raise DataError(
                f"The model's outputs do not fit the labels of the {part.name} part: {error} Evaluate it on the data "
                "it was trained for."
            ) from error
        _check_finite(logits, batch, part)
        added = task.measured(logits, batch.targets) | {_LOSS: task.loss_sums(known, batch.targets)}
        for name, value in added.items():
            sums[name] = sums[name] + value.cpu() if name in sums else value.cpu()
        counts = task.confusion(known, batch.targets)
        if counts is not None:
            confusion = counts.cpu() if confusion is None else confusion + counts.cpu()
    total, counted = sums.pop(_LOSS).tolist()
    if not math.isfinite(total):
        raise NonFiniteError(f"The loss on the {part.name} part is {total}: the outputs are too large. {_DIVERGED}")
    metrics = {name: value for name, value in task.values(sums).items() if not math.isnan(value)}
    if task.scale.name not in metrics:
        raise DataError(f"The {part.name} part has no label of which {task.scale.name} says anything.")
    matrix = [] if confusion is None else confusion.tolist()
    return Scores(metrics, total / max(1, counted), len(part), matrix, tuple(metric.scale for metric in task.metrics))


_LOSS = "loss of the task"
_DIVERGED = "Such a model has diverged, or its weights are damaged; train it anew, with a lower lr or with clip."


def _check_finite(logits: torch.Tensor, batch: Batch, part: Part) -> None:
    # Minus infinity alone is how a class is ruled out.
    rows = (logits.isnan() | (logits == math.inf)).reshape(len(logits), -1).any(dim=1)
    if rows.any():
        raise NonFiniteError(
            f"The model's outputs are not finite on {int(rows.sum())} of {len(rows)} samples of the {part.name} part, "
            f"ids {some_ids(batch.ids, rows)}. {_DIVERGED}"
        )
