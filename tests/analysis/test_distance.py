import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from kantor.analysis import match_neurons, neuron_distance, reallocation
from kantor.core.errors import ConfigError, ShapeError

KINDS = ["correlation", "cosine", "sqeuclidean", "euclidean", "l1"]


def orthogonal(samples: int, neurons: int) -> torch.Tensor:
    """Centred neurons of unit norm, uncorrelated with each other."""
    x = torch.randn(samples, neurons, dtype=torch.float64)
    return torch.linalg.qr(x - x.mean(0))[0]


def optimum(cost: torch.Tensor) -> float:
    """The transport problem as a linear program, by another library."""
    n, m = cost.shape
    marginals = np.zeros((n + m, n * m))
    for i in range(n):
        marginals[i, i * m : (i + 1) * m] = 1
    for j in range(m):
        marginals[n + j, j::m] = 1
    return linprog(cost.numpy().ravel(), A_eq=marginals, b_eq=[1 / n] * n + [1 / m] * m).fun


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.7])
def test_every_neuron_turned_by_an_angle(angle):
    both = orthogonal(50, 8)
    a = both[:, :4]
    b = math.cos(angle) * a + math.sin(angle) * both[:, 4:]
    assert neuron_distance(a, b[:, torch.randperm(4)]) == pytest.approx(1 - math.cos(angle), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_and_itself_in_another_order(kind):
    a, order = torch.randn(40, 9).relu(), torch.randperm(9).roll(1)
    order = order if (order != torch.arange(9)).any() else order.flip(0)
    same, moved = match_neurons(a, a, cost=kind), match_neurons(a, a[:, order], cost=kind)
    assert same.distance == pytest.approx(0.0, abs=1e-7)
    assert moved.distance == pytest.approx(0.0, abs=1e-7)
    assert reallocation(same.plan, same.cost).diagonal == pytest.approx(1.0)
    found = reallocation(moved.plan, moved.cost)
    assert found.diagonal == pytest.approx((order == torch.arange(9)).double().mean().item())
    assert found.gap == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("n", "m"), [(6, 6), (6, 4), (4, 6), (12, 3)])
def test_permutations_and_sides(n, m):
    a, b = torch.randn(60, n), torch.randn(60, m)
    here = match_neurons(a, b)
    assert here.distance == pytest.approx(optimum(here.cost), rel=2e-3)
    assert neuron_distance(a[:, torch.randperm(n)], b[:, torch.randperm(m)]) == pytest.approx(here.distance, rel=1e-3)
    there = match_neurons(b, a)
    assert there.distance == pytest.approx(here.distance, rel=1e-3)
    assert torch.allclose(there.cost.T, here.cost)
    assert torch.allclose(here.plan.sum(1), torch.full((n,), 1 / n, dtype=torch.float64), atol=1e-3)


def test_copies_of_every_neuron_are_no_distance():
    a = orthogonal(50, 5)
    assert neuron_distance(a, a.repeat(1, 3)) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_scale_and_offset_as_the_cost_says(kind):
    a, b = torch.randn(60, 5) + 0.5, torch.randn(60, 5) + 0.5
    plain = neuron_distance(a, b, cost=kind)
    each = torch.rand(5) + 0.5
    blind = neuron_distance(a * each, b, cost=kind) == pytest.approx(plain, rel=1e-4)
    assert blind == (kind in ("correlation", "cosine"))
    shifted = neuron_distance(a + 3, b, cost=kind) == pytest.approx(plain, rel=1e-4)
    assert shifted == (kind == "correlation")
    if kind == "sqeuclidean":
        assert neuron_distance(2 * a, 2 * b, cost=kind) == pytest.approx(4 * plain, rel=1e-4)


def test_silent_neurons_take_no_part():
    a = torch.randn(40, 6)
    a[:, 2] = 0.7
    found = match_neurons(a, a[:, [5, 2, 0, 1, 4, 3]])
    assert found.silent == (1, 1)
    assert found.distance == pytest.approx(0.0, abs=1e-7)
    assert found.plan[2].sum() == 0
    assert found.plan[:, 1].sum() == 0
    assert found.plan.sum().item() == pytest.approx(1.0)
    assert match_neurons(a, a, cost="sqeuclidean").silent == (0, 0)
    assert match_neurons(torch.ones(40, 3), a).distance == pytest.approx(1.0)


def test_positions_are_averaged():
    maps, tokens = torch.randn(30, 4, 5, 5), torch.randn(30, 7, 3)
    assert neuron_distance(maps, tokens) == pytest.approx(neuron_distance(maps.mean((2, 3)), tokens.mean(1)))


def test_bad_input():
    with pytest.raises(ShapeError, match="same rows"):
        neuron_distance(torch.randn(5, 2), torch.randn(6, 2))
    with pytest.raises(ConfigError, match="Unknown cost"):
        neuron_distance(torch.randn(5, 2), torch.randn(5, 2), cost="corelation")  # type: ignore[arg-type]
