import math

import pytest
import torch
from torch.autograd import gradcheck

from kantor.core.errors import ConfigError
from kantor.ot import solve, unbalanced


def kl(p, q):
    return (torch.special.xlogy(p, p / q.clamp_min(1e-300)) - p + q).sum()


def objective(plan, cost, a, b, epsilon, rho):
    sides = rho[0] * kl(plan.sum(1), a) + rho[1] * kl(plan.sum(0), b)
    return (plan * cost).sum() + epsilon * kl(plan, a[:, None] * b[None]) + sides


@pytest.fixture
def problem():
    torch.manual_seed(0)
    return (torch.rand(6, 4).double(), torch.rand(6).double() + 0.1, torch.rand(4).double() + 0.5)


@pytest.mark.parametrize("rho", [(0.3, 0.3), (0.2, 2.0)])
def test_is_a_minimum_of_the_stated_objective(problem, rho):
    cost, a, b = problem
    found = unbalanced(cost, a, b, 0.05, rho, tol=1e-12)
    assert found.converged
    best = objective(found.plan, cost, a, b, 0.05, rho)
    assert torch.allclose(found.value, best, atol=1e-9)
    for _ in range(20):
        other = found.plan * (1 + 0.05 * torch.randn(6, 4).double())
        assert objective(other, cost, a, b, 0.05, rho) > best


def test_one_cell_in_closed_form():
    # d/dp [p c + (e + 2 r)(p log p - p)] = 0 with unit masses.
    found = unbalanced(torch.tensor([[0.7]]).double(), torch.ones(1), torch.ones(1), 0.1, 0.5, tol=1e-12)
    assert torch.allclose(found.plan, torch.tensor(math.exp(-0.7 / 1.1)).double(), atol=1e-6)


def test_tends_to_balanced_transport(problem):
    cost, a, b = problem
    a, b = a / a.sum(), b / b.sum()
    balanced = solve(cost, a, b, 0.05, 1e-9)
    assert torch.allclose(unbalanced(cost, a, b, 0.05, 1e5, tol=1e-10).plan, balanced.plan, atol=1e-5)
    half = unbalanced(cost, a, b, 0.05, (math.inf, 1.0), tol=1e-10)
    assert torch.allclose(half.plan.sum(1), a, atol=1e-9)
    assert not torch.allclose(half.plan.sum(0), b, atol=1e-3)


def test_dear_mass_is_not_moved(problem):
    cost, a, b = problem
    cost = cost.clone()
    cost[0] += 50
    plan = unbalanced(cost, a, b, 0.05, 0.5).plan
    assert plan[0].sum() < 1e-6
    assert plan[1].sum() > 0.01


def test_batches_and_gradients(problem):
    cost, a, b = (x.requires_grad_() for x in problem)
    assert gradcheck(lambda c, a, b: unbalanced(c, a, b, 0.1, (0.5, 1.0), tol=1e-12).value, (cost, a, b))
    batch = unbalanced(torch.stack([cost, 2 * cost]), a, b, 0.1, 0.5, tol=1e-12)
    assert torch.allclose(batch.plan[1], unbalanced(2 * cost, a, b, 0.1, 0.5, tol=1e-12).plan, atol=1e-9)
    assert batch.cost.requires_grad


def test_zero_masses_and_giving_up(problem):
    cost, a, b = problem
    a = a.clone()
    a[2] = 0
    found = unbalanced(cost, a, b, 0.05, 0.5)
    assert (found.plan[2] == 0).all()
    assert found.plan.isfinite().all()
    assert not unbalanced(cost, a, b, 0.001, 100.0, tol=1e-12, max_iterations=2).converged


def test_refusals(problem):
    with pytest.raises(ConfigError, match="rho must be positive"):
        unbalanced(*problem, rho=0.0)
    with pytest.raises(ConfigError, match="use solve"):
        unbalanced(*problem, rho=math.inf)
    with pytest.raises(ConfigError, match="max_iterations must be a positive number; it is -5"):
        unbalanced(*problem, max_iterations=-5)
