"""Accuracy and loss of a model on a part of the data."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from kantor.core.errors import DataError
from kantor.data import Augment, Loader, Part


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
    """Run ``model`` in eval mode over ``part``, in order and without augmentation; its mode is restored.

    Args:
        model: maps inputs to logits.
        part: what to score it on.
        batch_size: samples at once.
        device: where the model is; batches are moved there.
        role: whose input it sees.

    Raises:
        DataError: the model has fewer outputs than the part has classes.
    """
    training = model.training
    model.eval()
    correct, loss = 0, 0.0
    confusion: torch.Tensor | None = None
    part = part.seen_by(role)
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
        predicted = logits.argmax(dim=1)
        if confusion is None:
            confusion = torch.zeros(logits.shape[1], logits.shape[1], dtype=torch.long)
        confusion += torch.bincount(
            (batch.targets * logits.shape[1] + predicted).cpu(), minlength=confusion.numel()
        ).reshape(confusion.shape)
        correct += int((predicted == batch.targets).sum())
        loss += F.cross_entropy(logits, batch.targets, reduction="sum").item()
    model.train(training)
    assert confusion is not None
    return Scores(correct / len(part), loss / len(part), len(part), confusion.tolist())
