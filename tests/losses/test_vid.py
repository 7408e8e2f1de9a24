"""VID."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.vid import VID, vid
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_repdistiller(dtype, tolerance):
    assert_as_public("vid", VID, dtype, tolerance)


def test_least_where_mean_and_variance_fit():
    g = torch.Generator().manual_seed(0)
    mean, teacher = torch.randn(2, 4, 3, 5, 5, generator=g, dtype=torch.float64)
    error = (teacher - mean).square().mean(dim=(0, 2, 3)).requires_grad_()
    vid(mean, teacher, error).backward()
    assert error.grad.abs().max() < 1e-12
    assert vid(teacher, teacher, error) < vid(mean, teacher, error)


def test_variance_starts_where_told():
    loss = VID(initial_variance=2.0)
    loss.build((torch.Size([2, 3, 4, 4]),), (torch.Size([2, 5, 4, 4]),), 0)
    variance = torch.nn.functional.softplus(loss.scales[0]) + loss.floor
    torch.testing.assert_close(variance, torch.full((5,), 2.0))


def test_refusals():
    with pytest.raises(ShapeError, match="mean's output is int64"):
        vid(torch.ones(2, 2, 3, 3, dtype=torch.long), torch.ones(2, 2, 3, 3), torch.ones(2))
    with pytest.raises(ShapeError, match=r"\(8, 4, 6, 6\).*\(8, 4\)"):
        VID().build((torch.Size([8, 4, 6, 6]),), (torch.Size([8, 4]),), 0)
    with pytest.raises(ConfigError, match="variance"):
        VID(initial_variance=0.0)
