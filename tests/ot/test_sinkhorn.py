import pytest
import torch

from kantor.ot import Sinkhorn, cost, solve

TOL = 1e-6


@pytest.fixture
def features():
    torch.manual_seed(0)
    return torch.randn(9, 5, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("epsilon", [0.01, 0.05, 1.0])
def test_agrees_with_the_reference(features, reference, check, dtype, epsilon):
    matrix = cost(*features, normalise="mean").to(dtype)
    a, b = torch.rand(9, dtype=dtype).softmax(0), torch.rand(7, dtype=dtype).softmax(0)
    transport = Sinkhorn(epsilon, TOL)(matrix, a, b)
    check(transport, TOL)
    plan, total, value = reference(matrix, a, b, epsilon)
    assert torch.allclose(transport.plan.double(), plan, atol=1e-5)
    assert abs(transport.cost.item() - total.item()) < 1e-5
    assert abs(transport.value.item() - value.item()) < 1e-6


def test_batches_equal_single_problems(features):
    x, y = features
    costs = torch.stack([cost(x * s, y) for s in (0.3, 1.0, 2.0)]).reshape(3, 1, 9, 7).expand(3, 2, 9, 7)
    a = torch.rand(2, 9, dtype=torch.float64).softmax(-1)
    batch = Sinkhorn(0.5, 1e-8)(costs, a)
    assert batch.plan.shape == (3, 2, 9, 7)
    assert batch.iterations.unique().numel() > 1, "easy problems should have finished first"
    for i in range(3):
        for j in range(2):
            single = Sinkhorn(0.5, 1e-8)(costs[i, j], a[j])
            assert torch.allclose(batch.plan[i, j], single.plan, atol=1e-8)


def test_one_cost_serves_many_masses(features):
    matrix, a = cost(*features), torch.rand(4, 9, dtype=torch.float64).softmax(-1)
    shared = Sinkhorn(0.5, 1e-8)(matrix, a)
    assert torch.allclose(shared.plan, Sinkhorn(0.5, 1e-8)(matrix.expand(4, 9, 7), a).plan, atol=1e-12)


def test_zero_masses(features, check):
    matrix = cost(*features, normalise="mean")
    a, b = torch.ones(9, dtype=torch.float64), torch.ones(7, dtype=torch.float64)
    a[[0, 4]] = 0.0
    b[6] = 0.0
    a, b = a / a.sum(), b / b.sum()
    transport = Sinkhorn(0.05, TOL)(matrix, a, b)
    check(transport, TOL)
    assert (transport.plan[[0, 4]] == 0).all()
    assert (transport.plan[:, 6] == 0).all()
    keep = [1, 2, 3, 5, 6, 7, 8]
    without = Sinkhorn(0.05, TOL)(matrix[keep][:, :6])
    assert torch.allclose(transport.plan[keep][:, :6], without.plan, atol=1e-6)


def test_any_total_mass(features, check):
    matrix = cost(*features, normalise="mean")
    one, five = Sinkhorn(0.1, TOL)(matrix), Sinkhorn(0.1, TOL)(matrix, torch.full((9,), 5 / 9, dtype=torch.float64))
    check(five, TOL)
    assert torch.allclose(five.plan, 5 * one.plan, atol=1e-6)


def test_warm_start_saves_sweeps(features):
    matrix = cost(*features, normalise="mean")
    cold = Sinkhorn(0.02, 1e-6)(matrix)
    warm = Sinkhorn(0.02, 1e-6)(matrix * 1.0001, potentials=cold.potentials)
    assert warm.iterations < cold.iterations / 2
    assert torch.allclose(warm.plan, Sinkhorn(0.02, 1e-6)(matrix * 1.0001).plan, atol=1e-6)


def test_says_so_when_it_gives_up(features):
    transport = Sinkhorn(1e-3, 1e-9, max_iterations=3)(cost(*features, normalise="mean"))
    assert not transport.converged
    assert transport.marginal_error > 1e-9
    assert transport.iterations < 10


def test_half_precision_and_autocast(features):
    x, y = (t.half() for t in features)
    matrix = cost(x, y, normalise="mean")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = solve(matrix)
        assert inside.value.dtype == inside.cost.dtype == inside.plan.dtype == torch.float32
    assert torch.equal(inside.plan, solve(matrix).plan)
    assert solve(matrix.half()).plan.isfinite().all()
