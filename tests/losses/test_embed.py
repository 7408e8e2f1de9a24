"""The shared embedding."""

import pytest
import torch

from kantor.core.errors import ShapeError
from kantor.losses.embed import DIM, Embed, pooled_width


def test_is_a_linear_map_to_the_sphere() -> None:
    embed = Embed(6)
    x = torch.randn(5, 6)
    out = embed(x)
    assert out.shape == (5, DIM)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(5))
    linear = embed.linear(x)
    torch.testing.assert_close(out, linear / linear.norm(dim=1, keepdim=True))


def test_pools_positions() -> None:
    embed = Embed(6, 4)
    x = torch.randn(5, 6, 3, 2)
    torch.testing.assert_close(embed(x), embed(x.mean((2, 3))))
    tokens = torch.randn(5, 7, 6)
    torch.testing.assert_close(embed(tokens), embed(tokens.mean(1)))


def test_a_zero_row_has_finite_gradient() -> None:
    embed = Embed(3, 4)
    torch.nn.init.zeros_(embed.linear.bias)
    x = torch.zeros(2, 3, requires_grad=True)
    embed(x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


@pytest.mark.parametrize(("shape", "width"), [((5, 6), 6), ((5, 7, 6), 6), ((5, 6, 2, 3), 6), ((5, 6, 4, 2, 3), 6)])
def test_width(shape: tuple[int, ...], width: int) -> None:
    assert pooled_width(shape, "crd") == width


def test_width_of_nothing_known() -> None:
    with pytest.raises(ShapeError, match="crd takes a layer"):
        pooled_width((5, 2, 3, 4, 5, 6), "crd")
