"""AT."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.at import AT, at
from kantor.losses.features import on_grid
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_repdistiller(dtype, tolerance):
    assert_as_public("at", AT, dtype, tolerance)


def test_sees_neither_scale_nor_channels():
    x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same = -7 * torch.cat([x, x])[:3].roll(1, dims=1)
    assert at(x, same) < 1e-30
    assert at(x, x.flip(3)) > 1e-3


def test_tokens_are_a_sequence_unless_they_are_put_on_a_grid():
    x = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    tokens = torch.cat([torch.randn(2, 1, 4), x.flatten(2).transpose(1, 2)], dim=1)
    assert at(on_grid(tokens, (3, 3)), x) < 1e-12
    torch.testing.assert_close(at(tokens, -tokens.flip(2)), torch.tensor(0.0))
    with pytest.raises(ShapeError, match="a sequence and a map"):
        at(tokens, x)


def test_refusals():
    shape = torch.Size
    with pytest.raises(ShapeError, match=r"\(8, 4, 6, 6\).*\(8, 4\)"):
        AT().build((shape([8, 4, 6, 6]),), (shape([8, 4]),), 0)
    with pytest.raises(ShapeError, match="as many layers"):
        AT().build((shape([8, 4, 6, 6]), shape([8, 4, 6, 6])), (shape([8, 4, 6, 6]),), 0)
    with pytest.raises(ConfigError, match="power"):
        AT(power=0.5)
