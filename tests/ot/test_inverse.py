"""The cost behind a coupling."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot import inverse, solve
from kantor.ot.implicit import differentiable_plan


def centred(cost):
    return cost - cost.mean(0) - cost.mean(1, keepdim=True) + cost.mean()


def observed(cost, epsilon, a=None, b=None):
    return solve(cost, a, b, epsilon=epsilon, tol=1e-10).plan


def test_a_free_cost_is_found_up_to_what_no_plan_tells():
    cost = torch.rand(5, 7, dtype=torch.float64)
    a = torch.rand(5, dtype=torch.float64)
    found = inverse(observed(cost, 0.3, a / a.sum()), epsilon=0.3, penalty=1e-10)
    torch.testing.assert_close(found.cost, centred(cost), atol=1e-4, rtol=0)
    assert found.matrix is None and abs(found.divergence) < 1e-8
    assert (found.parameters, found.identifiable) == (35, 24)  # all but what rows and columns have of their own


def test_it_is_what_a_generic_solver_finds():
    counts = torch.tensor([[5.0, 0, 1], [1, 3, 0], [0, 2, 9], [1, 1, 1]])
    found, joint = inverse(counts, penalty=0.01), (counts / counts.sum()).double().numpy()
    product = np.outer(joint.sum(1), joint.sum(0))

    def value(z):
        f, g, cost = z[:4], z[4:7], z[7:].reshape(4, 3)
        exponent = f[:, None] + g - cost
        return (product * np.exp(exponent)).sum() - (joint * exponent).sum() + 0.01 * (cost**2).sum() / 2

    best = minimize(value, np.zeros(19), method="BFGS", options={"gtol": 1e-9, "maxiter": 5000})
    torch.testing.assert_close(found.cost, centred(torch.from_numpy(best.x[7:].reshape(4, 3))), atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", ["bilinear", "mahalanobis"])
def test_a_cost_between_features_holds_for_points_that_were_never_seen(form):
    drawn = torch.Generator().manual_seed(3)
    x, y, others = (torch.randn(n, 3, generator=drawn, dtype=torch.float64) for n in (12, 10, 9))
    factor = torch.randn(3, 3, generator=drawn, dtype=torch.float64)
    matrix = factor @ factor.T if form == "mahalanobis" else factor

    def cost(left, right):
        if form == "bilinear":
            return -left @ matrix @ right.T
        apart = left[:, None] - right
        return torch.einsum("nmi,ij,nmj->nm", apart, matrix, apart)

    found = inverse(observed(cost(x, y), 2.0), x, y, epsilon=2.0, form=form, penalty=1e-9)
    torch.testing.assert_close(found.matrix, matrix, atol=1e-3, rtol=1e-3)
    assert found.identifiable == found.parameters == (9 if form == "bilinear" else 6)
    wanted = observed(cost(others, y), 2.0)
    matrix = found.matrix
    torch.testing.assert_close(observed(cost(others, y), 2.0), wanted, atol=1e-5, rtol=1e-3)


def test_at_the_optimum_the_implicit_gradient_is_zero():
    """The same by another way: through the plan itself, with its marginals held."""
    counts = torch.rand(6, 5, dtype=torch.float64) ** 3
    joint, x, y = counts / counts.sum(), torch.randn(6, 2).double(), torch.randn(5, 2).double()
    matrix = inverse(counts, x, y, penalty=1e-12).matrix
    assert matrix is not None
    theta = matrix.clone().requires_grad_()
    plan = differentiable_plan(-x @ theta @ y.T, joint.sum(1), joint.sum(0), 1.0)
    (gradient,) = torch.autograd.grad((joint * (joint / plan).log()).sum(), theta)
    assert gradient.abs().max() < 1e-6
    elsewhere = (theta.detach() + 0.1).requires_grad_()
    plan = differentiable_plan(-x @ elsewhere @ y.T, joint.sum(1), joint.sum(0), 1.0)
    (gradient,) = torch.autograd.grad((joint * (joint / plan).log()).sum(), elsewhere)
    assert gradient.abs().max() > 1e-3


def test_what_points_do_not_vary_in_cannot_be_known():
    x, y = torch.randn(8, 3).double(), torch.randn(8, 3).double()
    x[:, 2] = 1.0
    found = inverse(torch.rand(8, 8), x, y)
    assert (found.parameters, found.identifiable) == (9, 6)
    assert found.matrix is not None and found.matrix[2].abs().max() < 1e-6, "the penalty's choice"


def test_pairs_that_were_never_seen_stay_finite():
    found = inverse(torch.eye(4), penalty=1e-3)
    assert bool(found.cost.isfinite().all()) and bool((found.plan.diagonal() > 0.2).all())
    torch.testing.assert_close(found.plan.sum(0), torch.full((4,), 0.25).double(), atol=1e-3, rtol=0)


def test_what_is_no_coupling_is_named():
    good, x = torch.rand(3, 4), torch.randn(3, 2)
    for coupling, more, error, said in (
        (-good, (), ConfigError, "zero or more"),
        (0 * good, (), ConfigError, "above zero"),
        (good[0], (), ShapeError, r"coupling must be \[n, m\]"),
        (good.where(good > 2, torch.nan), (), NonFiniteError, "coupling is nan at index"),
        (good, (x,), ConfigError, "both sides"),
        (good, (x, x), ShapeError, r"y must be \[4, features\]"),
    ):
        with pytest.raises(error, match=said):
            inverse(coupling, *more)
    with pytest.raises(ShapeError, match="equal numbers"):
        inverse(good, x, torch.randn(4, 3), form="mahalanobis")
    with pytest.raises(ConfigError, match=r"unknown form 'bilinaer'.*bilinear"):
        inverse(good, x, torch.randn(4, 3), form="bilinaer")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="penalty"):
        inverse(good, penalty=0.0)
