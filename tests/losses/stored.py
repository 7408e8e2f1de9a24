"""Numbers that public code gave, one file each: inputs, value, gradients, and which code at which commit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kantor.losses.base import Features, TransferLoss

FOLDER = Path(__file__).parent / "reference"
both_precisions = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=["float64", "float32"]
)


def load(name: str) -> dict[str, Tensor]:
    """The stored tensors; the public code computed in float64 from inputs rounded to float32."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        assert "@" in str(arrays["source"])
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files if key != "source"}


def numbered(stored: dict[str, Tensor], prefix: str) -> list[Tensor]:
    """``prefix_0``, ``prefix_1``, ... as a list."""
    found = []
    while f"{prefix}_{len(found)}" in stored:
        found.append(stored[f"{prefix}_{len(found)}"])
    return found


def assert_near(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Equal to ``tolerance`` of the expected tensor's norm."""
    assert actual.shape == expected.shape
    assert (actual.double() - expected).norm() <= tolerance * expected.norm() + 1e-12


def bind(loss: TransferLoss, layers: list[Tensor]) -> Features:
    return tuple(layers) if loss.reads == "stages" else layers[0]


def shapes(layers: list[Tensor]) -> tuple[torch.Size, ...]:
    return tuple(layer.shape for layer in layers)


def assert_as_public(
    name: str, make: Callable[[], TransferLoss], dtype: torch.dtype, tolerance: float, layers: int | None = None
) -> TransferLoss:
    """Value and gradients (of features and parameters) equal what the public code gave; parameters by order."""
    stored = load(name)
    student = [x.to(dtype).requires_grad_() for x in numbered(stored, "student")[:layers]]
    teacher = [x.to(dtype) for x in numbered(stored, "teacher")[:layers]]
    loss = make()
    loss.build(shapes(student), shapes(teacher), 0)
    loss.to(dtype)
    parameters = list(loss.parameters())
    with torch.no_grad():
        for parameter, value in zip(parameters, numbered(stored, "parameter"), strict=True):
            parameter.copy_(value)
        for buffer, value in zip(loss.buffers(), numbered(stored, "attention"), strict=True):
            buffer.copy_(value)
    value = loss(bind(loss, student), bind(loss, teacher), targets=stored.get("targets"))
    assert_near(value.detach(), stored["value"], tolerance)
    value.backward()
    for place, x in enumerate(student):
        assert x.grad is not None
        assert_near(x.grad, stored[f"student_grad_{place}"], tolerance)
    # A bias before batch norm has a gradient of zero but for rounding: compare all gradients as one vector.
    ours = [p.grad.flatten() for p in parameters if p.grad is not None]
    theirs = [stored[f"parameter_grad_{i}"].flatten() for i, p in enumerate(parameters) if p.grad is not None]
    if ours:
        assert_near(torch.cat(ours), torch.cat(theirs), tolerance)
    return loss
