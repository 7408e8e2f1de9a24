"""Recorded sweeps against converged transport."""

import pytest
import torch

from kantor import ot
from kantor.core.errors import ConfigError
from kantor.losses.recorded import check_kernel, recorded_cost


def problem() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    cost = torch.rand(4, 6, generator=g, dtype=torch.float64)
    a = torch.rand(3, 4, generator=g, dtype=torch.float64).softmax(1)
    b = torch.rand(3, 6, generator=g, dtype=torch.float64).softmax(1)
    return cost, a, b


@pytest.mark.parametrize("first", ["rows", "columns"])
def test_many_sweeps_are_transport(first) -> None:
    cost, a, b = problem()
    many = recorded_cost(cost, a, b, epsilon=0.2, sweeps=200, first=first)
    torch.testing.assert_close(many, ot.solve(cost, a, b, epsilon=0.2, tol=1e-10).cost, rtol=1e-6, atol=0)
    few = recorded_cost(cost, a, b, epsilon=0.2, sweeps=1, first=first)
    assert (few - many).abs().max() > 1e-4


def test_one_cost_serves_a_batch() -> None:
    cost, a, b = problem()
    whole = recorded_cost(cost, a, b, epsilon=0.2, sweeps=3)
    each = [recorded_cost(cost, a[i], b[i], epsilon=0.2, sweeps=3) for i in range(3)]
    torch.testing.assert_close(whole, torch.stack(each))
    torch.testing.assert_close(whole, recorded_cost(cost.expand(3, 4, 6), a, b, epsilon=0.2, sweeps=3))


def test_gradient_through_the_sweeps() -> None:
    cost, a, b = (x.requires_grad_() for x in problem())
    torch.autograd.gradcheck(lambda *x: recorded_cost(*x, epsilon=0.2, sweeps=3, floor=1e-8), [cost, a, b])


def test_a_zero_mass_takes_no_part() -> None:
    cost, a, b = problem()
    a = a * torch.tensor([1.0, 0.0, 1.0, 1.0])
    a, start = a / a.sum(1, keepdim=True), torch.tensor([1.0, 0.0, 1.0, 1.0]).double().expand(3, 4) / 3
    settings = {"epsilon": 0.2, "sweeps": 4, "first": "columns"}
    kept = [0, 2, 3]
    cut = recorded_cost(cost[kept], a[:, kept], b, start=start[:, kept], **settings)
    torch.testing.assert_close(recorded_cost(cost, a, b, start=start, **settings), cut)


def test_refuses() -> None:
    with pytest.raises(ConfigError, match=r"sinkd: epsilon must be at least 0.025"):
        check_kernel("sinkd", 0.02, 10, 2.0)
    with pytest.raises(ConfigError, match="sweeps"):
        check_kernel("sinkd", 0.1, 0, 2.0)
