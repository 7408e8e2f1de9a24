"""Where two models give different answers."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Predictions:
    """Shares of the samples, in [0, 1]."""

    disagreement: float
    """On which the most probable classes differ."""
    accuracy: tuple[float, float] | None
    """Of each model; None where their classes are not the data's."""
    both_wrong: float | None
    """On which both are wrong, alike or not."""


def compare_predictions(
    a: Float[Tensor, "samples classes"],
    b: Float[Tensor, "samples classes"],
    targets: Int[Tensor, " samples"] | None = None,
) -> Predictions:
    """Compare two models' logits over the same classes.

    Args:
        a: logits.
        b: the other model's, of the same classes.
        targets: true classes; None where the data's classes are not these.
    """
    ours, theirs = a.argmax(1), b.argmax(1)
    accuracy = both = None
    if targets is not None:
        right = torch.stack([ours == targets, theirs == targets]).double()
        accuracy = (right[0].mean().item(), right[1].mean().item())
        both = (right.sum(0) == 0).double().mean().item()
    return Predictions((ours != theirs).double().mean().item(), accuracy, both)
