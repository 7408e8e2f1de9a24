"""Problems whose answers are known in closed form, at sizes and places that Hypothesis chooses."""

import math

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kantor.ot import cost, divergence, gaussian, one_dimensional, solve

# The suite's time is shared: few examples, no deadline on a loaded machine, the same ones every time.
QUICK = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
sizes = st.integers(1, 12)
seeds = st.integers(0, 2**31)
epsilons = st.sampled_from([1e-3, 1e-2, 0.1, 1.0])


def generator(seed):
    return torch.Generator().manual_seed(seed)


@QUICK
@given(n=sizes, seed=seeds, epsilon=epsilons)
def test_a_dirac_takes_everything(check, n, seed, epsilon):
    """One target: the plan is the masses, the value their mean cost, whatever epsilon."""
    matrix = torch.rand(n, 1, generator=generator(seed), dtype=torch.float64)
    a = torch.rand(n, generator=generator(seed + 1), dtype=torch.float64) + 0.01
    a = a / a.sum()
    transport = solve(matrix, a, None, epsilon, 1e-9)
    check(transport, 1e-9)
    assert torch.allclose(transport.plan[:, 0], a, atol=1e-9)
    assert abs(transport.value.item() - (a * matrix[:, 0]).sum().item()) < 1e-9


@QUICK
@given(n=sizes, seed=seeds, epsilon=epsilons)
def test_a_cost_of_two_sums_moves_the_product(check, n, seed, epsilon):
    """C_ij = r_i + c_j: every plan costs the same, so the regularised one is the product of the masses."""
    r, c = (torch.randn(k, generator=generator(seed), dtype=torch.float64) for k in (n, n + 3))
    a = torch.rand(n, generator=generator(seed + 1), dtype=torch.float64) + 0.01
    a = a / a.sum()
    transport = solve(r[:, None] + c, a, None, epsilon, 1e-9)
    check(transport, 1e-9)
    assert torch.allclose(transport.plan, (a[:, None] / (n + 3)).expand(n, n + 3), atol=1e-8)


@QUICK
@given(n=st.integers(2, 12), seed=seeds)
def test_a_permutation_far_from_the_rest(check, n, seed):
    """A cost of 0 on a permutation and 1 elsewhere, epsilon .02: all but e^-50 of the mass stays on it."""
    order = torch.randperm(n, generator=generator(seed))
    matrix = torch.ones(n, n)
    matrix[torch.arange(n), order] = 0.0
    transport = solve(matrix, None, None, 0.02, 1e-5)
    check(transport, 1e-5)
    assert torch.equal(transport.plan.argmax(1), order)
    assert transport.cost < 1e-6
    assert abs(transport.value.item() - 0.02 * math.log(n)) < 1e-5


@QUICK
@given(d=st.integers(1, 9), seed=seeds, epsilon=epsilons)
def test_two_by_two(check, d, seed, epsilon):
    """[[0, d], [d, 0]] with uniform masses: the diagonal holds 1 / (1 + exp(-d / epsilon)), evenly."""
    gap = d * epsilon / 2
    matrix = torch.tensor([[0.0, gap], [gap, 0.0]], dtype=torch.float64)
    transport = solve(matrix, None, None, epsilon, 1e-10)
    check(transport, 1e-10)
    share = 1 / (1 + math.exp(-gap / epsilon)) / 2
    expected = torch.tensor([[share, 0.5 - share], [0.5 - share, share]], dtype=torch.float64)
    assert torch.allclose(transport.plan, expected, atol=1e-9)


@QUICK
@given(n=st.integers(2, 12), seed=seeds)
def test_the_line_is_sorted(n, seed):
    """With a convex cost on the line the optimal plan keeps the order: exact, sorting and small epsilon agree."""
    x, y = (torch.randn(n, 1, generator=generator(seed + k), dtype=torch.float64) for k in (0, 1))
    matrix = cost(x, y)
    exact = solve(matrix, method="exact").value
    assert torch.allclose(one_dimensional(x[:, 0], y[:, 0]), exact, atol=1e-12)
    mean = matrix.mean().item()
    near = solve(matrix, None, None, 1e-3 * mean, 1e-6)
    assert near.converged
    # The plan of least <P, C> + eps KL is within eps log n of the optimum.
    assert -1e-6 * matrix.max() <= near.cost - exact <= 1e-3 * mean * math.log(n) + 1e-6 * matrix.max()


@QUICK
@given(d=st.integers(1, 4), seed=seeds)
def test_gaussians_that_differ_by_a_shift(d, seed):
    """Equal covariances: the distance is the shift's, in closed form and between samples of both."""
    draw = torch.randn(40, d, generator=generator(seed), dtype=torch.float64)
    shift = torch.randn(d, generator=generator(seed + 1), dtype=torch.float64)
    covariance = draw.mT @ draw / 40
    mean = draw.mean(0)
    assert torch.allclose(gaussian(mean, covariance, mean + shift, covariance), shift.square().sum(), atol=1e-9)
    found = divergence(draw, draw + shift, epsilon=1.0, tol=1e-9)
    assert torch.allclose(found, shift.square().sum(), atol=1e-6)
