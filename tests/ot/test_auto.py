"""The solver that chooses: right, or honest about it, over the grid of what a user may bring."""

import math

import numpy as np
import pytest
import torch

from kantor.ot import Auto, cost, plan_of, solve
from kantor.ot.auto import _Job
from kantor.ot.batch import Batch
from kantor.ot.kernel import Kernel, fill, may_hide, plan_error, plan_errors, there_and_back
from kantor.ot.newton import gradients, gradients_one, newton_by_factor
from kantor.ot.problem import problem_of
from kantor.ot.rates import epsilon_levels, factor_worth, newton_iterations
from kantor.ot.sinkhorn import log_domain

pytestmark = pytest.mark.usefixtures("compiled_or_not")

SHAPES = [(1, 5), (6, 6), (13, 7), (30, 60)]
EPSILONS = [1e-4, 1e-3, 1e-2, 0.1, 1.0]
TOL = 1e-5


def make_cost(kind: str, n: int, m: int, rng: np.random.Generator) -> np.ndarray:
    x, y = rng.standard_normal((n, 8)), rng.standard_normal((m, 8))
    if kind == "near-permutation":
        k = min(n, m)
        y[:k] = x[rng.permutation(n)[:k]] + 0.05 * rng.standard_normal((k, 8))
    matrix = ((x[:, None] - y[None]) ** 2).sum(-1)
    matrix /= matrix.mean()
    if kind == "negative":
        return matrix - 3
    if kind == "ties":
        return rng.integers(0, 3, (n, m)).astype(float)
    if kind == "uniform":
        return 2 * rng.random((n, m))
    return np.full((n, m), 1.0) if kind == "constant" else matrix


def make_masses(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    mass = np.ones(n) if kind == "uniform" else np.exp(2 * rng.standard_normal(n))
    if kind == "zeros" and n > 2:
        mass[rng.integers(0, n, n // 3)] = 0
    return mass / mass.sum()


def true_error(transport) -> float:
    problem = transport.problem
    f, g = transport.potentials
    a, b, matrix = problem.a.double(), problem.b.double(), problem.cost.double()
    exponents = (f[..., :, None] + g[..., None, :] - matrix) / transport.epsilon
    plan = a[..., :, None] * b[..., None, :] * exponents.clamp(max=700).exp()
    return ((plan.sum(-1) - a).abs().sum(-1) + (plan.sum(-2) - b).abs().sum(-1)).max().item()


@pytest.mark.parametrize("kind", ["gaussian", "near-permutation", "ties", "constant", "negative", "uniform"])
@pytest.mark.parametrize("shape", SHAPES)
def test_right_or_honest(kind, shape):
    """``cost`` within 1e-4 of the mean cost of a float64 log-domain reference, or ``converged`` is False."""
    rng = np.random.default_rng(sum(map(ord, kind)))
    matrix = make_cost(kind, *shape, rng=rng)
    unconverged = 0
    for epsilon in EPSILONS:
        for masses in ("uniform", "random", "zeros"):
            a, b = (torch.from_numpy(make_masses(masses, size, rng)).float() for size in shape)
            mean = np.abs(matrix).mean()
            transport = solve(torch.from_numpy(matrix).float(), a, b, epsilon=epsilon * mean, tol=TOL)
            found = true_error(transport)
            assert found <= transport.marginal_error * 1.1 + 1e-6, "the error was worse than was said"
            if not transport.converged:
                unconverged += 1
                continue
            # The reference goes on from the potentials to a hundredth of the error, by sweeps that share no code
            # with the kernel; where they start is theirs to correct.
            exact = transport.problem.cost.double()[None]
            shares = [(x.double() / x.double().sum())[None] for x in (a, b)]
            start = transport.potentials[1][None]
            f, g, _, _ = log_domain(exact, shares[0], shares[1], epsilon * mean, TOL / 100, 400, start)
            plan = plan_of(
                torch.from_numpy(matrix).float().double(), a.double(), b.double(), f[0], g[0], epsilon * mean
            )
            assert abs((plan * torch.from_numpy(matrix)).sum().item() - transport.cost.item()) < 1e-4 * mean
    assert unconverged <= 1


def odd_problem(seed: int):
    """Costs over many scales, masses over many more, totals from 1e-6 to 1e6, and now and then a wild start."""
    rng = np.random.default_rng(seed)
    (n, m), kind = rng.integers(1, 40, 2), rng.integers(6)
    matrix = rng.random((n, m))
    if kind == 1:
        matrix = matrix * np.exp(rng.normal(0, 3, (n, m)))
    elif kind == 2:
        matrix = matrix + 10 * rng.random((n, 1)) - 10 * rng.random((1, m)) * rng.choice([1, 100])
    elif kind == 3:
        matrix = np.where(rng.random((n, m)) < 0.1, matrix, 100.0 * rng.choice([0.1, 1, 10]))
    elif kind == 4:
        matrix = np.abs(np.linspace(0, 1, n)[:, None] - np.linspace(0, 1, m)) ** rng.choice([0.5, 1, 2])
    elif kind == 5:
        x = rng.normal(size=(n, 2)) * rng.choice([1, 10])
        matrix = ((x[:, None] - x[rng.integers(0, n, m)] - 0.05 * rng.normal(size=(m, 2))) ** 2).sum(-1)
    masses = [rng.random(k) ** rng.choice([0, 1, 5, 20]) + (np.arange(k) == 0) * 1e-3 for k in (n, m)]
    masses = [mass * (rng.random(len(mass)) < rng.choice([1, 0.6])) + (np.arange(len(mass)) == 0) for mass in masses]
    total = 10.0 ** rng.integers(-6, 7)
    dtype = torch.float64 if rng.random() < 0.3 else torch.float32
    given = [torch.from_numpy(x).to(dtype) for x in (matrix, *(total * mass / mass.sum() for mass in masses))]
    epsilon, tol = 10.0 ** rng.uniform(-4, 0), 10.0 ** rng.uniform(-6, -1.5)
    wild = tuple(torch.from_numpy(rng.normal(size=k) * 10.0 ** rng.uniform(-3, 3)) for k in (n, m))
    return given, epsilon, tol, wild if rng.random() < 0.3 else None


def test_odd_problems_are_never_wrong_in_silence():
    unconverged = 0
    for seed in range(80):
        given, epsilon, tol, start = odd_problem(seed)
        transport = solve(*given, epsilon=epsilon, tol=tol, potentials=start)
        if not transport.converged:
            unconverged += 1
            continue
        assert all(x.isfinite().all() for x in transport.potentials)
        held = transport.problem.a.double().sum()
        assert true_error(transport) / held <= 1.1 * tol + 2e-6, f"seed {seed}"
    assert unconverged <= 8


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_unit_of_the_cost_does_not_matter(scale, dtype):
    rng = np.random.default_rng(1)
    matrix = torch.from_numpy(make_cost("gaussian", 20, 15, rng))
    plain = solve(matrix, epsilon=0.01, tol=1e-7)
    scaled = solve((matrix * scale).to(dtype), epsilon=0.01 * scale, tol=1e-7)
    assert scaled.converged
    assert abs(scaled.cost.item() / scale - plain.cost.item()) < 1e-5


@pytest.mark.parametrize("shape", [(7, 5), (40, 40), (80, 200)])
@pytest.mark.parametrize("epsilon", [0.01, 0.05])
@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-9])
def test_agrees_with_the_reference(reference, check, shape, epsilon, tol):
    rng = np.random.default_rng(2)
    for dtype in (torch.float32, torch.float64):
        matrix = torch.from_numpy(make_cost("gaussian", *shape, rng=rng)).to(dtype)
        a, b = (torch.from_numpy(make_masses("zeros", size, rng)).to(dtype) for size in shape)
        transport = solve(matrix, a, b, epsilon, tol)
        check(transport, tol)
        if tol < 1e-5:
            plan, total, value = reference(matrix, a / a.double().sum(), b / b.double().sum(), epsilon)
            assert abs(transport.cost.item() - total.item()) < 2e-5
            assert abs(transport.value.item() - value.item()) < 2e-6
            assert torch.allclose(transport.plan.double(), plan, atol=2e-5)


def test_pot_agrees_in_float64():
    pot = pytest.importorskip("ot", reason="POT is an extra")
    rng = np.random.default_rng(3)
    matrix, a, b = make_cost("gaussian", 50, 40, rng), make_masses("random", 50, rng), make_masses("random", 40, rng)
    plan = pot.sinkhorn(a, b, matrix, 0.05, method="sinkhorn_log", stopThr=1e-12, numItermax=5000)
    transport = solve(*(torch.from_numpy(x) for x in (matrix, a, b)), epsilon=0.05, tol=1e-10)
    assert torch.allclose(transport.plan, torch.from_numpy(plan), atol=1e-9)


@pytest.mark.parametrize("size", [8, 30])
@pytest.mark.parametrize("epsilon", [0.01, 0.1])
def test_batches_in_lock_step_equal_single_problems(size, epsilon, check):
    rng = np.random.default_rng(4)
    matrix = torch.from_numpy(np.stack([make_cost("gaussian", size, size + 3, rng) for _ in range(20)])).float()
    a = torch.from_numpy(np.stack([make_masses("zeros", size, rng) for _ in range(20)])).float()
    batch = solve(matrix, a, epsilon=epsilon, tol=1e-6)
    check(batch, 1e-6)
    for k in range(20):
        single = solve(matrix[k], a[k], epsilon=epsilon, tol=1e-6)
        assert torch.allclose(batch.plan[k], single.plan, atol=1e-5)


@pytest.mark.parametrize("peak", [1.0, 4.0])
def test_one_cost_for_many_masses(peak, check):
    rng = np.random.default_rng(5)
    matrix = torch.from_numpy(make_cost("gaussian", 20, 50, rng)).float()
    a, b = (torch.from_numpy(peak * rng.standard_normal((16, size))).float().softmax(-1) for size in (20, 50))
    shared = solve(matrix, a, b, epsilon=0.05, tol=1e-3)
    check(shared, 1e-3)
    exact = solve(matrix.expand(16, 20, 50), a, b, epsilon=0.05, tol=1e-7)
    assert (shared.cost - exact.cost).abs().max() < 2e-3


def test_a_shared_kernel_out_of_reach_is_solved_alone(check):
    # Masses so far apart that no common potentials serve them within float32's range.
    matrix = torch.linspace(0, 1, 30)[:, None].expand(30, 30) * 3 + torch.rand(30, 30)
    a = torch.eye(30)[:9] * (1 - 29e-12) + 1e-12
    transport = solve(matrix, a, a.flip(-1), epsilon=0.01, tol=1e-5)
    check(transport, 1e-5)


@pytest.mark.parametrize("count", [1, 12])
def test_the_accelerator_path_on_the_cpu(count):
    """The same lines that run on a GPU, in torch."""
    rng = np.random.default_rng(6)
    matrix = np.stack([make_cost("gaussian", 20, 30, rng) for _ in range(count)])
    a, b = (np.stack([make_masses("zeros", size, rng) for _ in range(count)]) for size in (20, 30))
    bounds = (matrix.min(), matrix.max())
    for epsilon, dtype, tol in ((0.05, torch.float32, 1e-4), (0.005, torch.float64, 1e-8)):
        given = torch.from_numpy(matrix), torch.from_numpy(a), torch.from_numpy(b)
        batch = Batch(torch, *given, tol, 2000, bounds, dtype)
        batch.solve(epsilon, None)
        assert (batch.error <= tol).all()
        for k in range(count):
            one, its_a, its_b = (x[k] for x in given)
            single = solve(one, its_a, its_b, epsilon=epsilon, tol=tol / 10)
            plan = plan_of(one, its_a, its_b, batch.f[k], batch.g[k], epsilon)
            assert (plan - single.plan).abs().sum() < 20 * tol


def test_what_one_kernel_for_many_masses_clamps_does_not_hide():
    """Scalings that go far in opposite directions lift an entry at the floor to where it matters."""
    exponents = torch.tensor([[0.0, -40, -40], [-40, -120, 0], [-40, 0, -40]])
    mass = torch.tensor([[0.6, 0.4, 0.0]])
    alone = solve(-0.01 * exponents, mass[0], mass[0], epsilon=0.01, tol=1e-6)
    for tol in (1e-3, 1e-9):
        many = solve(-0.01 * exponents, mass.expand(2, 3), mass.expand(2, 3), epsilon=0.01, tol=tol)
        assert torch.allclose(many.cost, alone.cost, atol=2 * tol + 1e-5)
    for seed in range(6):
        torch.manual_seed(seed)
        matrix = cost(torch.randn(19, 3), torch.randn(6, 3), normalise="mean")
        a, b = (torch.randn(16, size).mul(4).softmax(-1).double() for size in (19, 6))
        found = solve(matrix, a, b, epsilon=0.003, tol=1e-3)
        assert found.potentials is not None
        f, g = found.potentials
        true = plan_error(torch, matrix.double(), a, b, f, g, 0.003)
        assert found.converged.all() and (true < 1.2e-3).all()


def test_one_cost_for_many_masses_starts_from_where_it_was():
    torch.manual_seed(0)
    matrix = cost(torch.randn(50, 8), torch.randn(60, 8), normalise="mean")
    a, b = (torch.randn(16, size).softmax(-1) for size in (50, 60))
    cold = solve(matrix, a, b, epsilon=0.02, tol=1e-3)
    warm = solve(matrix, a, b, epsilon=0.02, tol=1e-3, potentials=cold.potentials)
    assert (cold.iterations > 10).all() and (warm.iterations == 1).all() and warm.converged.all()
    wild = tuple(1e3 * torch.randn_like(x) for x in cold.potentials)
    assert solve(matrix, a, b, epsilon=0.02, tol=1e-3, potentials=wild).converged.all()


def test_the_error_of_what_is_given_up_is_that_of_its_plan():
    for seed in range(50, 60):
        torch.manual_seed(seed)
        matrix = cost(torch.randn(36, 4), torch.randn(39, 4), normalise="mean")
        transport = Auto(5e-4, 1e-6, max_iterations=3)(matrix)
        assert transport.marginal_error.item() > 0.9 * true_error(transport), f"seed {seed}"


def test_a_batch_that_runs_out_of_passes_far_away_claims_nothing():
    """Its kernel is clamped there, and what is clamped does not show in its marginals."""
    given, epsilon, tol, start = odd_problem(48)
    matrix, a, b = (x[None] for x in given)
    bounds = (matrix.min().item(), matrix.max().item())
    for budget in (20, 300):
        shares = a.double() / a.double().sum(), b.double() / b.double().sum()
        batch = Batch(torch, matrix, *shares, tol, budget, bounds, torch.float32)
        batch.solve(epsilon, start[1][None])
        true = plan_error(torch, matrix.double(), *shares, batch.f, batch.g, epsilon)
        assert true > 1 and batch.error > 1


def test_what_may_hide_is_looked_at_on_an_accelerator(monkeypatch):
    """The same lines, in torch: what is off goes on to the slower ways, and the rest stays."""
    torch.manual_seed(0)
    matrix, a = torch.rand(4, 20, 30), torch.randn(4, 20).mul(20).softmax(-1).double()
    b = torch.full((4, 30), 1 / 30, dtype=torch.float64)
    assert may_hide(a, b, 1e-3)
    job = _Job(Auto(0.02, 1e-3), problem_of(matrix, a, b))
    found = job.solve_on_accelerator(matrix, a, b, None)
    assert (plan_error(torch, matrix, a, b, *found[:2], 0.02) < 1.1e-3).all() and (found[2] < 1.1e-3).all()
    off = torch.tensor([0.0, 1.0, 0.0, 0.0])
    monkeypatch.setattr("kantor.ot.auto.plan_error", lambda xp, cost, a, *_: off if len(a) == 4 else 1.0)
    again = job.solve_on_accelerator(matrix, a, b, None)
    assert torch.equal(again[0][[0, 2, 3]], found[0][[0, 2, 3]])
    assert again[3][1] > found[3][1] and (again[2] < 1.1e-3).all(), "the log domain has solved the second"


def test_warm_starts_save_passes(check):
    rng = np.random.default_rng(7)
    matrix = torch.from_numpy(make_cost("gaussian", 64, 64, rng)).float()
    cold = solve(matrix, epsilon=0.01, tol=1e-5)
    again = solve(matrix, epsilon=0.01, tol=1e-5, potentials=cold.potentials)
    assert again.iterations <= 2
    near = solve(matrix * (1 + 1e-3 * torch.rand(64, 64)), epsilon=0.01, tol=1e-5, potentials=cold.potentials)
    check(near, 1e-5)
    assert near.iterations < cold.iterations
    wild = tuple(1e3 * torch.randn(64) for _ in range(2))
    check(solve(matrix, epsilon=0.01, tol=1e-5, potentials=wild), 1e-5)
    batch = solve(matrix.expand(20, 64, 64), epsilon=0.01, tol=1e-5, potentials=cold.potentials)
    assert (batch.iterations <= 2).all()


def test_says_so_when_it_gives_up():
    rng = np.random.default_rng(8)
    matrix = torch.from_numpy(make_cost("uniform", 80, 80, rng))
    transport = Auto(1e-4, 1e-9, max_iterations=2)(matrix)
    assert not transport.converged
    assert abs(transport.marginal_error.item() - true_error(transport)) < 1e-3


def test_newton_steps_agree_and_solve_the_system():
    rng = np.random.default_rng(9)
    matrix, a, b = rng.random((7, 5)) + 0.1, make_masses("uniform", 7, rng), make_masses("zeros", 5, rng)
    ua = a / (matrix @ b)
    sums = b * (ua @ matrix)
    plan = ua[:, None] * matrix * b
    by_factor = newton_by_factor(matrix, ua, a, b, sums, b)
    assert by_factor is not None
    by_gradients, _ = gradients_one(matrix, ua, a, b, sums, b, 1e-13, 50)
    kernel = Kernel(np, np.zeros((1, 7, 5)), np.float64, 1e-3, (0.0, 0.0))
    kernel.matrix = matrix[None]
    in_batch, _ = gradients(kernel, ua[None], a[None], b[None], sums[None], b[None], np.full((1, 1), 1e-13), 50)
    hessian = np.diag(sums) - plan.T @ np.diag(1 / a) @ plan
    held = b > 0
    for step in (by_factor, by_gradients, in_batch[0]):
        assert np.allclose((hessian @ step)[held], (b - sums)[held], atol=1e-10)


def test_the_kernel_is_exact_where_tol_needs_it():
    rng = np.random.default_rng(10)
    matrix = (rng.random((1, 40, 30)) + 100).astype(np.float32)
    f, g = rng.random((1, 40)) + 100, rng.random((1, 30)) * 0.1
    truth = np.exp((f[..., None] + g[:, None, :] - matrix.astype(np.float64)) / 0.1)
    out = np.empty_like(matrix)
    noise = fill(np, out, matrix, f, g, 0.1, 1e-6, (100.0, 101.0))
    assert np.abs(out / truth - 1).max() < 3e-7
    assert noise < 1e-6
    loose = fill(np, out, matrix, f, g, 0.1, 1e-1, (100.0, 101.0))
    assert np.abs(out / truth - 1).max() < loose


def test_blocks_make_no_difference():
    rng = np.random.default_rng(11)
    matrix, v = rng.random((700, 500)), rng.random(500)
    u, back = there_and_back(matrix, v, lambda x, at: 2 / x)
    assert np.allclose(u, 2 / (matrix @ v))
    assert np.allclose(back, u @ matrix)


def test_what_rates_predict():
    assert epsilon_levels(0.05, 1.0) == [0.05]
    assert epsilon_levels(0.001, 1.0) == [0.064, 0.016, 0.004, 0.001]
    assert newton_iterations(1e-2, 2e-2, 1e-3) == 0, "sweeps that halve the error need no help"
    assert newton_iterations(1e-2, 1.001e-2, 1e-3) > 10, "sweeps that stand still do"
    assert factor_worth(2048, 2048) > 100 > factor_worth(32, 32)
    assert math.isfinite(newton_iterations(0.5, 0.1, 1e-3))


def test_what_may_hide_is_looked_at_for_all_problems_of_a_shared_cost_at_once():
    torch.manual_seed(0)
    matrix = torch.rand(7, 9).numpy()
    a, b = (torch.randn(5, size).mul(3).softmax(-1).double().numpy() for size in (7, 9))
    b[1, 3] = 0.0
    f, g = (torch.randn(5, size).double().numpy() for size in (7, 9))
    alone = [plan_error(np, matrix, *problem, 0.3) for problem in zip(a, b, f, g, strict=True)]
    np.testing.assert_allclose(plan_errors(matrix, a, b, f, g, 0.3), alone, rtol=1e-9)
    far = plan_errors(matrix, a, b, np.stack([f[0], *(f[1:] + 1e4)]), g, 0.3)
    assert far[0] == pytest.approx(alone[0]) and not np.isfinite(far[1:]).any()


def test_masses_over_many_scales_that_share_a_cost(monkeypatch):
    """Each is looked at, and none is called converged that is not."""
    torch.manual_seed(0)
    matrix, a = torch.rand(20, 30), torch.randn(6, 20).mul(20).softmax(-1)
    assert may_hide(a.numpy(), np.full(30, 1 / 30), 1e-3), "or nothing is looked at"
    found = solve(matrix, a, epsilon=0.02, tol=1e-3)
    for k in range(6):
        masses = a[k].double().numpy(), np.full(30, 1 / 30)
        assert found.converged[k]
        f, g = (x[k].numpy() for x in found.potentials)
        assert plan_error(np, matrix.numpy(), *masses, f, g, 0.02) < 1.1e-3
    monkeypatch.setattr("kantor.ot.auto.plan_errors", lambda cost, a, *_: np.full(len(a), np.inf))
    again = solve(matrix, a, epsilon=0.02, tol=1e-3)
    assert torch.equal(again.potentials[0], found.potentials[0]), "then each is looked at alone"
