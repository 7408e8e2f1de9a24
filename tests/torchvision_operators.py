"""torchvision beside a CPU build of torch, for which its only wheel was not built."""

import importlib
from typing import Any

import torch

_KEPT: list[Any] = []
"""The definitions, which must stay alive."""


def define() -> None:
    """Make torchvision importable: its compiled operators are missing, and its import fails on the first.

    Models and transforms need none of them.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
