"""FT; its pretraining is in test_pretraining.py."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.ft import FT, ft
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_repdistiller(dtype, tolerance):
    assert_as_public("ft", FT, dtype, tolerance)


def test_sees_neither_scale_nor_channels_of_factors():
    x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert ft(-7 * torch.cat([x, x], dim=1), x) < 1e-15
    assert ft(x, x.flip(3)) > 1e-3


def test_refusals():
    with pytest.raises(ShapeError, match=r"\(8, 4, 6, 6\).*\(8, 4\)"):
        FT().build((torch.Size([8, 4, 6, 6]),), (torch.Size([8, 4]),), 0)
    with pytest.raises(ConfigError, match="rate"):
        FT(rate=0.0)
