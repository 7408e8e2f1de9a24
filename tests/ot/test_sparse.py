"""Transport over a few pairs, beside the dense solvers and closed forms."""

import math

import numpy as np
import pytest
import torch

from kantor import ot
from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot.sparse import Pairs, on_pairs


def problem(seed: int = 0, n: int = 7, m: int = 5, share: float = 0.6):
    generator = np.random.default_rng(seed)
    cost = generator.random((n, m))
    kept = generator.random((n, m)) < share
    kept[np.arange(n), np.arange(n) % m] = True
    a, b = (x / x.sum() for x in (generator.random(n), generator.random(m)))
    rows, columns = np.nonzero(kept)
    pairs = Pairs.of(rows, columns, (n, m))
    return pairs, cost, kept, a, b


@pytest.mark.parametrize("rho", [1.0, (0.3, 2.0), (math.inf, 0.5)])
def test_as_the_dense_solver_with_the_others_forbidden(rho) -> None:
    pairs, cost, kept, a, b = problem()
    found = on_pairs(pairs, cost[kept], a, b, epsilon=0.05, rho=rho, tol=1e-9)
    dense = ot.unbalanced(
        torch.from_numpy(np.where(kept, cost, 1e3)), torch.from_numpy(a), torch.from_numpy(b), 0.05, rho, tol=1e-9
    )
    assert found.converged
    np.testing.assert_allclose(found.plan, dense.plan.numpy()[kept], rtol=1e-6, atol=1e-12)


def test_as_balanced_where_every_pair_is_there() -> None:
    pairs, cost, _, a, b = problem(share=2.0)
    found = on_pairs(pairs, cost.ravel(), a, b, epsilon=0.05, tol=1e-10)
    dense = ot.solve(torch.from_numpy(cost), torch.from_numpy(a), torch.from_numpy(b), epsilon=0.05, tol=1e-10)
    np.testing.assert_allclose(found.plan.reshape(cost.shape), dense.plan.numpy(), rtol=1e-6, atol=1e-10)
    assert found.matched == pytest.approx((1, 1))


def test_small_epsilon_neither_underflows_nor_overflows() -> None:
    """The scalings differ by hundreds of orders of magnitude."""
    cost = np.array([0.0, 1.0, 1.0, 0.0])
    pairs = Pairs.of(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), (2, 2))
    found = on_pairs(pairs, cost, np.array([0.7, 0.3]), np.array([0.4, 0.6]), epsilon=2e-3)
    np.testing.assert_allclose(found.plan, [0.4, 0.3, 0.0, 0.3], atol=1e-6)


def test_mass_without_a_pair_is_said() -> None:
    pairs = Pairs.of(np.array([0, 1]), np.array([0, 0]), (3, 2))
    found = on_pairs(pairs, np.zeros(2), np.array([0.25, 0.25, 0.5]), np.array([0.5, 0.5]), epsilon=0.1, rho=10.0)
    assert found.matched[0] == pytest.approx(0.5, abs=1e-2) and found.matched[1] == pytest.approx(0.5, abs=1e-2)
    assert found.plan.sum() == pytest.approx(0.5, rel=0.02)


def test_zero_masses_move_nothing() -> None:
    pairs = Pairs.of(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), (2, 2))
    found = on_pairs(pairs, np.zeros(4), np.array([1.0, 0.0]), np.array([0.5, 0.5]), epsilon=0.1)
    np.testing.assert_allclose(found.plan, [0.5, 0.5, 0, 0])


def test_pairs_are_in_order_and_once() -> None:
    pairs = Pairs.of(np.array([1, 0, 1]), np.array([0, 1, 0]), (2, 2))
    assert pairs.rows.tolist() == [0, 1] and pairs.columns.tolist() == [1, 0]
    assert pairs.place(np.array([1, 1]), np.array([0, 1])).tolist() == [1, -1]
    with pytest.raises(ShapeError, match="in order"):
        Pairs(np.array([1, 0]), np.array([0, 0]), (2, 2))
    with pytest.raises(ShapeError, match="in order"):
        Pairs(np.array([0]), np.array([2]), (2, 2))


def test_refuses() -> None:
    pairs, cost, kept, a, b = problem()
    with pytest.raises(ShapeError, match="a cost each"):
        on_pairs(pairs, cost[kept][:-1], a, b, epsilon=0.1)
    with pytest.raises(NonFiniteError, match="cost"):
        on_pairs(pairs, np.full(len(pairs), np.nan), a, b, epsilon=0.1)
    with pytest.raises(NonFiniteError, match="0 or more"):
        on_pairs(pairs, cost[kept], -a, b, epsilon=0.1)
    with pytest.raises(ConfigError, match="rho"):
        on_pairs(pairs, cost[kept], a, b, epsilon=0.1, rho=0.0)
