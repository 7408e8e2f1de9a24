"""FSP; its pretraining is in test_pretraining.py."""

import pytest
import torch

from kantor.core.errors import ShapeError
from kantor.losses.fsp import FSP, fsp
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_repdistiller(dtype, tolerance):
    assert_as_public("fsp", FSP, dtype, tolerance)


def test_sees_the_flow_and_not_the_places():
    g = torch.Generator().manual_seed(0)
    maps = tuple(torch.randn(2, c, 4, 4, generator=g, dtype=torch.float64) for c in (3, 5))
    moved = tuple(x.flip(3) for x in maps)
    assert fsp(moved, maps) < 1e-28
    assert fsp((maps[0], moved[1]), maps) > 1e-3


def test_refuses_other_channels_and_one_layer():
    small, large = torch.Size([8, 4, 6, 6]), torch.Size([8, 5, 6, 6])
    with pytest.raises(ShapeError, match=r"equal channels.*\(8, 4, 6, 6\).*\(8, 5, 6, 6\)"):
        FSP().build((small, small), (small, large), 0)
    with pytest.raises(ShapeError, match="two layers or more"):
        FSP().build((small,), (small,), 0)


def test_layers_of_other_batches_are_refused():
    maps = torch.ones(6, 2, 4, 4), torch.ones(7, 2, 4, 4)
    with pytest.raises(ShapeError, match="same samples"):
        fsp(maps, maps)


@pytest.mark.parametrize("given", [torch.tensor(1.0), torch.rand(2, 3, 4, 4), (torch.rand(2, 3, 4, 4),)])
def test_fewer_than_two_maps_are_refused(given):
    with pytest.raises(ShapeError, match="two maps or more"):
        fsp(given, given)
