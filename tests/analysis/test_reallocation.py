import pytest
import torch

from kantor.analysis import partners, reallocation
from kantor.core.errors import ShapeError

EYE = torch.eye(6) / 6
SHIFT = EYE.roll(1, 1)
UNIFORM = torch.full((6, 6), 1 / 36)


def test_a_plan_that_stays():
    found = reallocation(EYE, 1 - 6 * EYE, first=EYE, previous=EYE)
    assert (found.diagonal, found.entropy) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-9))
    assert (found.changed_since_first, found.changed_since_previous) == (0.0, 0.0)
    assert (found.distance, found.identity, found.gap) == (pytest.approx(0), pytest.approx(0), 0.0)


def test_a_plan_that_moved_everyone():
    found = reallocation(SHIFT, 1 - 6 * SHIFT, first=EYE, previous=SHIFT)
    assert (found.diagonal, found.changed_since_first, found.changed_since_previous) == (0.0, 1.0, 0.0)
    assert (found.distance, found.identity, found.gap) == (
        pytest.approx(0, abs=1e-6),
        pytest.approx(1),
        pytest.approx(1),
    )


def test_neurons_in_their_place_leave_nothing_to_save():
    """Of a student that starts as its teacher, what an entropic plan costs over nothing is no share of it."""
    cost = 1 - 6 * EYE + 1e-9
    found = reallocation(0.999 * EYE + 0.001 * UNIFORM, cost)
    assert found.identity == pytest.approx(0, abs=1e-6)
    assert found.gap == 0.0


def test_half_and_half():
    cost = torch.ones(6, 6)
    cost[SHIFT > 0] = 0.2
    found = reallocation((EYE + SHIFT) / 2, cost)
    assert found.diagonal == pytest.approx(0.5)
    # Two equal partners each: the entropy left is log 2 of log 6.
    assert found.entropy == pytest.approx(0.386853, abs=1e-5)
    assert (found.distance, found.identity, found.gap) == (pytest.approx(0.6), pytest.approx(1.0), pytest.approx(0.4))
    assert found.changed_since_first is None


def test_the_uniform_plan():
    found = reallocation(UNIFORM)
    assert (found.entropy, found.diagonal) == (pytest.approx(1.0), pytest.approx(1 / 6))
    assert (found.distance, found.gap) == (None, None)


@pytest.mark.parametrize("turn", [False, True])
def test_other_widths(turn):
    wide = torch.zeros(6, 3)
    wide[torch.arange(6), torch.arange(6) // 2] = 1 / 6
    moved = wide.roll(1, 0)
    turned = (lambda x: x.mT) if turn else (lambda x: x)
    found = reallocation(turned(moved), turned(1 - 6 * moved), first=turned(wide))
    assert (found.diagonal, found.entropy) == (None, pytest.approx(0.0, abs=1e-9))
    # Counted on the wider side: those at the ends of their blocks changed.
    assert found.changed_since_first == pytest.approx(0.5)
    assert (found.distance, found.identity) == (pytest.approx(0, abs=1e-6), pytest.approx(0.5))
    pairs = partners(turned(wide))
    assert [(j, i) if turn else (i, j) for i, j, _ in pairs] == [(k, k // 2) for k in range(6)]
    assert all(share == pytest.approx(1.0) for *_, share in pairs)


def test_neurons_without_mass_are_not_counted():
    plan, first = EYE.clone(), SHIFT.clone()
    plan[:, 0] = first[:, 0] = 0
    first[:, 1] = plan[:, 1]
    assert reallocation(plan, first=first).changed_since_first == pytest.approx(4 / 5)
    assert [j for _, j, _ in partners(plan)] == [1, 2, 3, 4, 5]


def test_scale_of_the_masses_does_not_matter():
    cost = torch.rand(6, 6)
    plan = torch.rand(6, 6)
    assert reallocation(plan, cost).gap == pytest.approx(reallocation(7 * plan, cost).gap)


def test_sizes_must_agree():
    with pytest.raises(ShapeError, match="measured against"):
        reallocation(EYE, torch.rand(6, 5))
