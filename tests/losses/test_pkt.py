"""PKT."""

import torch

from kantor.losses.pkt import PKT, pkt
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_repdistiller(dtype, tolerance):
    assert_as_public("pkt", PKT, dtype, tolerance)


def test_sees_neither_rotation_nor_length_of_a_sample():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, generator=g, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=g, dtype=torch.float64))[0]
    lengths = torch.arange(1, 7, dtype=torch.float64)[:, None]
    assert abs(pkt(lengths * x @ turn, x)) < 1e-9
    assert pkt(x.roll(1, dims=0), x) > 1e-4


def test_a_silent_sample_has_a_finite_gradient():
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    x[1] = 0
    x.requires_grad_()
    pkt(x, torch.eye(4)).backward()
    assert torch.isfinite(x.grad).all()
