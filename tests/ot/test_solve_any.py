import dataclasses

import pytest
import torch

from kantor.ot import solve, solver_for


def test_a_solver_is_frozen_settings():
    solver = solver_for("auto", 0.1, 1e-4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        solver.epsilon = 1.0  # type: ignore[attr-defined]
    matrix = torch.rand(5, 4)
    assert torch.equal(solver(matrix).plan, solve(matrix, epsilon=0.1, tol=1e-4).plan)


@pytest.mark.parametrize("method", ["auto", "sinkhorn", "exact", "proximal"])
def test_inputs_are_left_alone(method):
    matrix, a = torch.rand(5, 5), torch.full((5,), 0.2)
    before = matrix.clone(), a.clone()
    transport = solve(matrix, a, a, method=method)
    assert torch.equal(matrix, before[0])
    assert torch.equal(a, before[1])
    assert torch.allclose(transport.plan.sum(-1), a, atol=1e-2)


def test_potentials_are_not_changed():
    matrix = torch.rand(5, 4)
    start = solve(matrix).potentials
    assert start is not None
    before = tuple(p.clone() for p in start)
    solve(matrix + torch.rand(5, 4), potentials=start)
    assert all(torch.equal(x, y) for x, y in zip(start, before, strict=True))
