import numpy as np
import pytest
import torch

from kantor.ot import batch, solve
from kantor.ot.anderson import MEMORY, Anderson
from kantor.ot.rates import factor_worth, mixing_from, newton_from


@pytest.mark.parametrize("xp", [np, torch])
def test_a_linear_map_is_solved_in_as_many_steps_as_it_has_rates(xp):
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    slow = basis @ np.diag([0.999, 0.99, 0.9, 0.5] + [0.0] * 16) @ basis.T
    goal, x = rng.standard_normal(20), np.zeros(20)
    matrix, goal, x = (y if xp is np else torch.from_numpy(y) for y in (slow, goal, x))
    mixer = Anderson(xp, xp.ones_like(x) / 20)
    for _ in range(MEMORY + 3):
        x = mixer.mix(x, goal + matrix @ (x - goal))
    assert abs(x - goal).max() < 1e-6


def test_problems_of_a_batch_do_not_touch():
    rng = np.random.default_rng(1)
    masses = rng.random((3, 6))
    together, alone = Anderson(np, masses), [Anderson(np, masses[k]) for k in range(3)]
    for step in range(8):
        x, y = rng.standard_normal((3, 6)), rng.standard_normal((3, 6))
        mixed = together.mix(x, y)
        for k in range(3):
            assert np.allclose(mixed[k], alone[k].mix(x[k], y[k]), atol=1e-8), step
    together.forget(np.array([True, False, False]))
    x, y = rng.standard_normal((3, 6)), rng.standard_normal((3, 6))
    together.last = None
    assert np.allclose(together.mix(x, y)[0], y[0])
    together.keep(np.array([False, True, False]))
    assert together.mix(x[1:2], y[1:2]).shape == (1, 6)


def test_standing_still_is_no_reason_to_move():
    mixer = Anderson(np, np.ones(4) / 4)
    for _ in range(3):
        assert np.array_equal(mixer.mix(np.ones(4), np.ones(4)), np.ones(4))


def test_lock_step_in_torch_is_that_in_numpy():
    generator = torch.Generator().manual_seed(2)
    cost = torch.cdist(torch.randn(20, 40, 16, generator=generator), torch.randn(20, 50, 16, generator=generator))
    cost = cost.square() / cost.square().mean()
    a, b = (torch.rand(20, size, generator=generator).double() for size in (40, 50))
    a[:, 3], b[:5, 7] = 0, 0
    a, b = a / a.sum(-1, keepdim=True), b / b.sum(-1, keepdim=True)
    given = 1e-6, 2_000, (cost.min().item(), cost.max().item())
    one = batch.Batch(torch, cost, a, b, *given, torch.float32)
    other = batch.Batch(np, cost.numpy(), a.numpy(), b.numpy(), *given, np.float32)
    for each in (one, other):
        each.solve(0.01, None)
        assert bool((each.error <= 1e-6).all())
    assert (one.passes - torch.from_numpy(other.passes)).abs().max() <= 0.2 * one.passes.max()
    apart = (one.f - torch.from_numpy(other.f))[:, :3]
    assert (apart - apart[:, :1]).abs().max() < 1e-5


@pytest.mark.parametrize("scale", [0.05, 20.0])
@pytest.mark.parametrize("noise", [0.3, 0.8])
def test_the_cost_model_decides_time_and_not_the_outcome(monkeypatch, check, scale, noise):
    monkeypatch.setattr(batch, "factor_worth", lambda *size: scale * factor_worth(*size))
    monkeypatch.setattr(batch, "mixing_from", lambda *size: scale * mixing_from(*size))
    monkeypatch.setattr(batch, "newton_from", lambda *size: scale * newton_from(*size))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(16, 40, 16, generator=generator)
    y = x.flip(1) + noise * torch.randn(16, 40, 16, generator=generator)
    cost = torch.cdist(x, y).square()
    cost = cost / cost.mean()
    for epsilon in (0.05, 0.01, 0.001):
        check(solve(cost, epsilon=epsilon, tol=1e-6), 1e-6)
