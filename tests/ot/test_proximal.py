import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.ot import Exact, Proximal, Sinkhorn, cost, solve


@pytest.fixture
def matrix():
    torch.manual_seed(1)
    return cost(torch.randn(20, 6), torch.randn(20, 6), normalise="mean")


def test_tends_to_the_exact_plan(matrix):
    exact = Exact()(matrix).value
    gaps = [(Proximal(0.1, steps)(matrix).value - exact).item() for steps in (5, 50, 500)]
    assert gaps[0] > gaps[1] > abs(gaps[2])
    assert abs(gaps[2]) < 2e-3 * exact


def test_is_sinkhorn_at_beta_over_steps(matrix):
    # Exactly so once each step's scalings have converged.
    plan = Proximal(beta=1.0, steps=20, inner=50)(matrix).plan
    assert torch.allclose(plan, Sinkhorn(1.0 / 20, 1e-6)(matrix).plan, atol=2e-6)


def test_follows_the_published_iteration(matrix):
    # Algorithm 1 of the paper as printed, in float64.
    n = len(matrix)
    kernel, plan = (-matrix.double() / 0.5).exp(), torch.ones(n, n, dtype=torch.float64)
    v = torch.full((n,), 1 / n, dtype=torch.float64)
    for _ in range(30):
        q = kernel * plan
        u = (1 / n) / (q @ v)
        v = (1 / n) / (q.T @ u)
        plan = u[:, None] * q * v
    assert torch.allclose(Proximal(0.5, 30)(matrix.double()).plan, plan, atol=1e-10)


def test_small_beta_does_not_underflow(matrix):
    transport = Proximal(1e-4, 200)(matrix)
    assert transport.plan.isfinite().all()
    assert torch.allclose(transport.plan.sum(), torch.tensor(1.0), atol=1e-4)


def test_products_and_logarithms_give_one_plan(matrix):
    # The range of a batch of cosine costs; a problem beside them that products cannot hold takes all to logarithms.
    both = torch.stack([matrix, matrix / 2])
    plan = Proximal(0.5, 50)(both).plan
    extreme = torch.cat([both, 1e4 * matrix.unsqueeze(0)])
    assert torch.allclose(Proximal(0.5, 50)(extreme).plan[:2], plan, atol=1e-7)
    assert Proximal(0.5, 50)(extreme).plan.isfinite().all()


def test_zero_masses_and_batches(matrix):
    a = torch.ones(2, 20)
    a[0, :5] = 0.0
    transport = Proximal(0.2, 50)(matrix, a / a.sum(-1, keepdim=True))
    assert (transport.plan[0, :5] == 0).all()
    assert transport.plan.isfinite().all()
    assert torch.allclose(transport.plan.sum(-2), torch.full((2, 20), 1 / 20), atol=1e-6)


def test_gradient_is_the_plan_and_masses_have_none(matrix):
    matrix.requires_grad_()
    transport = solve(matrix, method="proximal", epsilon=0.2)
    transport.value.backward()
    assert matrix.grad is not None
    assert torch.equal(matrix.grad, transport.plan)
    a = torch.full((20,), 0.05, requires_grad=True)
    with pytest.raises(ConfigError, match="no gradient in the masses"):
        _ = solve(matrix, a, method="proximal").value


def test_converged_is_judged_by_the_tol_that_was_asked_for():
    torch.manual_seed(0)
    matrix = torch.rand(30, 30)
    found = [solve(matrix, method="proximal", tol=tol) for tol in (1e-2, 1e-8)]
    assert found[0].converged and not found[1].converged
    assert 1e-8 < found[1].marginal_error < 1e-2
