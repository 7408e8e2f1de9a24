"""Inputs and outputs of public implementations, stored with the repository and commit they were made by."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "reference"


def reference(name: str) -> dict[str, Tensor]:
    """The arrays of ``reference/NAME.npz`` as tensors; its ``source`` (repository@commit, what was called) is text."""
    with np.load(FOLDER / f"{name}.npz") as file:
        assert "@" in str(file["source"])
        return {key: torch.as_tensor(file[key]) for key in file.files if key != "source"}


def close(actual: Tensor, expected: Tensor, rtol: float = 1e-5) -> None:
    """Equal to ``rtol`` of the largest entry: what a gradient's smallest entries are rounded by."""
    scale = expected.abs().max().item()
    torch.testing.assert_close(actual.to(expected.dtype), expected, rtol=rtol, atol=rtol * scale)
