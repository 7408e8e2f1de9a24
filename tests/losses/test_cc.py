"""CC."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.cc import CC, cc
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_repdistiller(dtype, tolerance):
    assert_as_public("cc", CC, dtype, tolerance)


def test_zero_only_where_neighbours_do_not_differ_together():
    teacher = torch.zeros(4, 2)
    apart = torch.tensor([[1.0, 0.0], [0.0, 0.0], [2.0, 3.0], [0.0, 0.0]])
    assert cc(apart, teacher) == 0
    together = torch.tensor([[1.0, 0.0], [-2.0, 5.0], [0.0, 0.0], [0.0, 0.0]])
    assert cc(together, teacher) == pytest.approx(2 / 3)


def test_refusals():
    with pytest.raises(ShapeError, match=r"\(1, 3\)"):
        cc(torch.zeros(1, 3), torch.zeros(1, 3))
    with pytest.raises(ShapeError, match=r"\(4, 3\).*\(4, 2\)"):
        cc(torch.zeros(4, 3), torch.zeros(4, 2))
    with pytest.raises(ConfigError, match="dim"):
        CC(dim=0)
