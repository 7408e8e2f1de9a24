"""Accuracy and loss of a model on a part of the data."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from kantor.core.errors import DataError, NonFiniteError
from kantor.core.modes import as_evaluated
from kantor.data import Augment, Batch, Loader, Part
from kantor.objective.teachers import some_ids


@dataclass(frozen=True)
class Scores:
    """What a model scores on a part."""

    accuracy: float
    """Share of samples whose most probable class is the target's, in [0, 1]."""
    loss: float
    """Mean cross-entropy, in nats."""
    samples: int
    confusion: list[list[int]]
    """``confusion[target][prediction]``: counts."""


@torch.no_grad()
def evaluate(
    model: nn.Module, part: Part, *, batch_size: int = 256, device: torch.device | None = None, role: str = "student"
) -> Scores:
    """Run ``model`` in eval mode over ``part``, in order and without augmentation; its parts' modes are restored.

    Args:
        model: maps inputs to logits.
        part: what to score it on.
        batch_size: samples at once.
        device: where the model is; batches are moved there.
        role: whose input it sees.

    Raises:
        DataError: the model has fewer outputs than the part has classes.
        NonFiniteError: it says NaN or infinity of a sample, so that nothing can be said of it.
    """
    with as_evaluated(model):
        return _scores(model, part.seen_by(role), role, batch_size, device)


def _scores(model: nn.Module, part: Part, role: str, batch_size: int, device: torch.device | None) -> Scores:
    correct, loss = 0, 0.0
    confusion: torch.Tensor | None = None
    loader = Loader(part, batch_size, seed=0, augment=Augment.named("none"), shuffle=False, drop_last=False)
    for batch in loader.epoch(0):
        batch = batch.to(device) if device is not None else batch
        assert batch.targets is not None
        logits = model(batch.inputs[role]).float()
        if int(batch.targets.max()) >= logits.shape[1]:
            raise DataError(
                f"The model has {logits.shape[1]} outputs, but {part.name} holds class {int(batch.targets.max())}. "
                "Evaluate it on the data it was trained for."
            )
        _check_finite(logits, batch, part)
        predicted = logits.argmax(dim=1)
        if confusion is None:
            confusion = torch.zeros(logits.shape[1], logits.shape[1], dtype=torch.long)
        confusion += torch.bincount(
            (batch.targets * logits.shape[1] + predicted).cpu(), minlength=confusion.numel()
        ).reshape(confusion.shape)
        correct += int((predicted == batch.targets).sum())
        loss += F.cross_entropy(logits, batch.targets, reduction="sum").item()
    if not math.isfinite(loss):
        raise NonFiniteError(f"The loss on the {part.name} part is {loss}: the outputs are too large. {_DIVERGED}")
    assert confusion is not None
    return Scores(correct / len(part), loss / len(part), len(part), confusion.tolist())


_DIVERGED = "Such a model has diverged, or its weights are damaged; train it anew, with a lower lr or with clip."


def _check_finite(logits: torch.Tensor, batch: Batch, part: Part) -> None:
    # Minus infinity alone is how a class is ruled out.
    rows = (logits.isnan() | (logits == math.inf)).any(dim=1)
    if rows.any():
        raise NonFiniteError(
            f"The model's outputs are not finite on {int(rows.sum())} of {len(rows)} samples of the {part.name} part, "
            f"ids {some_ids(batch.ids, rows)}. {_DIVERGED}"
        )
