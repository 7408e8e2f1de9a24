"""Networks and batches that the tests of objectives share."""

import torch
from torch import nn

from kantor.data import Batch


def network(width: int, classes: int = 4) -> nn.Sequential:
    """A user's own module, unknown to kantor."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(width, classes),
    )  # fmt: skip


def a_batch(samples: int = 16, classes: int = 4) -> Batch:
    x = torch.rand(samples, 1, 6, 6)
    return Batch({"student": x, "teacher": x}, torch.arange(samples) % classes, torch.arange(samples), None)
