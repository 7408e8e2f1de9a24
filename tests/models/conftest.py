"""The packages of model families are optional; what needs one is skipped where it is missing."""

import importlib.util

import pytest
import torch


@pytest.fixture(scope="session")
def torchvision_operators():
    """Makes torchvision importable beside a CPU build of torch, for which its only wheel was not built.

    Its compiled operators are missing there and its import fails on the first; models and transforms need none.
    """
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("needs torchvision")
    try:
        importlib.import_module("torchvision")
        yield None
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        yield library
