"""RKD."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.rkd import RKD, rkd
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
@pytest.mark.parametrize("name", ["rkd", "rkd_duplicate"])
def test_as_repdistiller(name, dtype, tolerance):
    assert_as_public(name, RKD, dtype, tolerance)


def test_sees_neither_rotation_nor_scale_nor_place():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, generator=g, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=g, dtype=torch.float64))[0]
    assert rkd(3 * x @ turn + 5, x) < 1e-20
    assert rkd(x[torch.tensor([1, 0, 2, 3, 4, 5])], x) > 1e-2


def test_refusals():
    with pytest.raises(ShapeError, match="two or more"):
        rkd(torch.zeros(1, 3), torch.zeros(1, 3))
    with pytest.raises(ConfigError, match="negative"):
        RKD(distance_weight=-1.0)
