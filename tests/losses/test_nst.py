"""NST."""

import pytest
import torch

from kantor.core.errors import ShapeError
from kantor.losses.nst import NST, nst
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_repdistiller(dtype, tolerance):
    assert_as_public("nst", NST, dtype, tolerance)


def test_sees_neurons_as_a_set_without_sizes():
    x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sizes = torch.arange(1, 9, dtype=torch.float64)[:, None, None]
    assert abs(nst(sizes * torch.cat([x.flip(1), x], dim=1), x)) < 1e-14
    assert nst(x.flip(3), x) > 1e-3


def test_refuses_layers_without_positions():
    with pytest.raises(ShapeError, match=r"\(8, 4\).*\(8, 4, 6, 6\)"):
        NST().build((torch.Size([8, 4]),), (torch.Size([8, 4, 6, 6]),), 0)


def test_takes_sides_of_two_precisions():
    s, t = (torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    assert torch.allclose(nst(s.double(), t), nst(s, t.double()))
    assert torch.allclose(nst(s.double(), t).float(), nst(s, t), rtol=1e-5)
