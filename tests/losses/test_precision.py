"""Full precision inside losses."""

import pytest
import torch

from kantor import losses
from kantor.core.errors import ShapeError
from kantor.losses.precision import full_precision


@full_precision
def product(pair, other, *, scale=None):
    first, second = pair
    return first @ second @ other * (1.0 if scale is None else scale)


def test_widens_half_precision_and_turns_autocast_off():
    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = product((x, x), x, scale=x[0, 0])
        assert torch.is_autocast_enabled("cpu")
    assert torch.equal(y, x.float() @ x.float() @ x.float() * x[0, 0].float())


def test_leaves_other_types_alone():
    assert product((torch.eye(2).double(),) * 2, torch.eye(2).double()).dtype == torch.float64
    ids = torch.tensor([3, 4])
    assert full_precision(lambda x: x)(ids) is ids


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.complex64])
@pytest.mark.parametrize("name", ["sp", "nst", "kd", "rkd", "pkt"])
def test_outputs_are_floating_point_numbers(name, dtype):
    x = torch.ones(4, 6)
    with pytest.raises(ShapeError, match=r"The student's output is \w+, and losses compare floating-point"):
        getattr(losses, name)(x.to(dtype), x)
    with pytest.raises(ShapeError, match=r"The teacher's output is"):
        getattr(losses, name)(x, teacher=x.to(dtype))
