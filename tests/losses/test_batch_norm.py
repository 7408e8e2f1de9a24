"""Batch norm without state; over two processes it is part of test_two_processes.py."""

import torch
from torch import nn

from kantor.losses import batch_norm
from kantor.losses.batch_norm import BatchNorm


def test_equals_torch_in_training_by_either_route(monkeypatch):
    g = torch.Generator().manual_seed(0)
    x = (3 + 2 * torch.randn(4, 3, 5, 5, generator=g, dtype=torch.float64)).requires_grad_()
    ours, torchs = BatchNorm(3).double(), nn.BatchNorm2d(3).double()
    with torch.no_grad():
        for a, b in zip(ours.parameters(), torchs.parameters(), strict=True):
            a.copy_(torch.randn(3, generator=g))
            b.copy_(a)
    expected = torchs(x)
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), x)
    for ranks in (1, 2):
        # Two ranks with the same rows: sums double and so does their number.
        monkeypatch.setattr(batch_norm, "world_size", lambda ranks=ranks: ranks)
        monkeypatch.setattr(batch_norm, "sum_over_ranks", lambda total, ranks=ranks: total * ranks)
        value = ours(x)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(torch.autograd.grad(value.square().sum(), x)[0], expected_gradient)


def test_keeps_nothing():
    assert set(BatchNorm(3).state_dict()) == {"weight", "bias"}
