"""Transport runs in float32 or float64, whatever the caller's autocast or half-precision tensors."""

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor


def upcast(x: Tensor) -> Tensor:
    """``x`` in float32 or float64: half precision and integers become float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context without autocast on ``device``, free of charge where there was none."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()
