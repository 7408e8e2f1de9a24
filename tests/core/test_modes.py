"""Modes part by part: what was frozen stays frozen."""

from typing import Any

import pytest
import torch
from torch import nn

from kantor.core.modes import as_evaluated, as_trained, buffers_kept


def network() -> Any:
    """Conv, a frozen batch norm in eval mode, dropout."""
    found = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout())
    found[1].eval().requires_grad_(False)
    return found


def test_evaluated_and_back_also_after_an_error():
    net = network()
    with pytest.raises(RuntimeError, match="x"), as_evaluated(net):
        assert not any(module.training for module in net.modules())
        raise RuntimeError("x")
    assert [module.training for module in net.modules()] == [True, True, False, True]


def test_a_part_that_does_something_in_train_is_told():
    class Merging(nn.Module):
        """As adapters do: weights are merged in eval mode, and taken apart again in train mode."""

        merged = False

        def train(self, mode: bool = True) -> "Merging":
            super().train(mode)
            self.merged = not mode
            return self

    net = nn.Sequential(Merging())
    with as_evaluated(net):
        assert net[0].merged
    assert not net[0].merged
    assert net[0].training


def test_trained_but_for_what_is_frozen():
    net = network().eval()
    as_trained(net)
    assert [module.training for module in net.modules()] == [True, True, False, True]
    net[1].requires_grad_(True)
    as_trained(net)
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize("freeze", ["yes", "no"])
def test_running_statistics_of_a_frozen_part_do_not_move_between_looks(freeze):
    net = network()
    if freeze == "no":
        as_trained(net[1].requires_grad_(True))
    before = net[1].running_mean.clone()
    with as_evaluated(net):
        net(torch.randn(4, 1, 2, 2))
    assert torch.equal(before, net[1].running_mean)
    net(torch.randn(4, 1, 2, 2))
    assert torch.equal(before, net[1].running_mean) == (freeze == "yes")


def test_buffers_are_kept_and_a_new_one_stays():
    net = network()
    with buffers_kept(net):
        net[1].running_mean += 1
        net.register_buffer("made", torch.ones(1))
    assert not net[1].running_mean.any()
    assert net.made == 1
