"""SP."""

import pytest
import torch

from kantor.core.errors import ShapeError
from kantor.losses.sp import SP, sp
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_repdistiller(dtype, tolerance):
    assert_as_public("sp", SP, dtype, tolerance)


def test_sees_neither_rotation_nor_scale():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, generator=g, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=g, dtype=torch.float64))[0]
    assert sp(3 * x @ turn, x) < 1e-28
    assert sp(x + 1, x) > 1e-4


def test_refuses_unpaired_layers():
    with pytest.raises(ShapeError, match="as many layers"):
        SP().build((torch.Size([8, 4]),) * 2, (torch.Size([8, 4]),), 0)
