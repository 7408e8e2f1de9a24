"""Gradients of a transport, by design: of ``value`` exactly, of ``cost`` with the plan held fixed."""

import pytest
import torch
from torch.autograd import gradcheck

from kantor.ot import cost, partial, solve, unbalanced

TOL = 1e-10


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def masses(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("method", ["auto", "sinkhorn"])
def test_value_in_cost_and_masses(method):
    matrix = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)

    def value(matrix, a, b):
        return solve(matrix, a.softmax(-1), b.softmax(-1), 0.1, TOL, method).value

    assert gradcheck(value, (matrix, masses(4), masses(3)))


def test_value_in_a_batch_and_in_a_shared_cost():
    a, b = masses(2, 4), masses(3)
    batched = torch.rand(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda c, a, b: solve(c, a.softmax(-1), b.softmax(-1), 0.1, TOL).value, (batched, a, b))
    shared = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda c, a, b: solve(c, a.softmax(-1), b.softmax(-1), 0.1, TOL).value, (shared, a, b))
    middle = torch.rand(2, 1, 4, 3, dtype=torch.float64, requires_grad=True)
    wide = masses(3, 4)
    assert gradcheck(lambda c, a: solve(c, a.softmax(-1), None, 0.1, TOL).value, (middle, wide))


def test_value_with_another_total():
    matrix = torch.rand(4, 3, dtype=torch.float64)
    size = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)

    def value(a, b, size):
        return solve(matrix, size * a.softmax(-1), size * b.softmax(-1), 0.1, TOL).value

    assert gradcheck(value, (masses(4), masses(3), size))


@pytest.mark.parametrize("kind", ["sqeuclidean", "cosine", "euclidean"])
@pytest.mark.parametrize("problems", [(), (3,)])
def test_value_in_the_features(kind, problems):
    x, y = (torch.randn(*problems, n, 3, dtype=torch.float64, requires_grad=True) for n in (5, 4))
    assert gradcheck(lambda x, y: solve(cost(x, y, kind), None, None, 0.5, TOL).value, (x, y))


def test_value_where_masses_are_zero():
    # The derivative at a zero mass is one-sided: how the value grows as mass appears there, taken from row 1.
    matrix = torch.rand(4, 3, dtype=torch.float64)
    b = torch.full((3,), 1 / 3, dtype=torch.float64)

    def value(t):
        a = torch.stack([t, 0.5 - t, t.new_tensor(0.25), t.new_tensor(0.25)])
        return solve(matrix, a, b, 0.1, TOL).value

    t = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    value(t).backward()
    step = torch.tensor(1e-6, dtype=torch.float64)
    assert t.grad is not None
    assert abs(t.grad.item() - ((value(step) - value(step * 0)) / step).item()) < 1e-4


def test_cost_is_differentiated_with_the_plan_held_fixed():
    matrix = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    transport = solve(matrix, epsilon=0.1, tol=TOL)
    transport.cost.backward()
    assert torch.equal(matrix.grad, transport.plan)
    plan = transport.plan
    assert gradcheck(lambda c: (plan * c).sum(), (matrix,))
    assert not plan.requires_grad


def test_value_differs_from_cost_by_epsilon_times_kl():
    matrix = torch.rand(6, 3, dtype=torch.float64)
    transport = solve(matrix, epsilon=0.1, tol=TOL)
    plan = transport.plan
    kl = (plan * (plan * 18).log()).sum()
    assert torch.allclose(transport.value, transport.cost + 0.1 * kl, atol=1e-9)
    assert torch.allclose((plan * matrix).sum(), transport.cost)


def test_memory_of_the_graph_does_not_grow_with_sweeps():
    matrix = torch.rand(30, 30, requires_grad=True)
    saved = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    for epsilon in (1.0, 0.005):
        saved.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            _ = solve(matrix, epsilon=epsilon).value
        assert sum(saved) <= 900 + 4 * 30


@pytest.mark.parametrize(
    ("solved", "name"),
    [(solve, "value"), (solve, "cost"), (unbalanced, "value"), (unbalanced, "cost"), (partial, "cost")],
)
def test_read_once_without_a_graph_and_then_with_one(solved, name):
    matrix = torch.rand(5, 6, requires_grad=True)
    transport = solved(matrix, epsilon=0.1)
    with torch.no_grad():
        printed = getattr(transport, name)
    getattr(transport, name).backward()
    assert not printed.requires_grad
    assert matrix.grad is not None
    assert matrix.grad.sum() > 0
