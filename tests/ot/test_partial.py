import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.ot import partial


def test_moves_the_mass_asked_for_and_no_more():
    cost = torch.rand(8, 6)
    for mass in (0.3, 0.9):
        found = partial(cost, mass=mass, epsilon=0.02, tol=1e-6)
        assert torch.allclose(found.plan.sum(), torch.tensor(mass), atol=1e-4)
        assert (found.plan.sum(1) <= 1 / 8 + 1e-5).all()
        assert (found.plan.sum(0) <= 1 / 6 + 1e-5).all()


def test_takes_the_cheap_pairs():
    cost = torch.ones(3, 3) - torch.diag(torch.tensor([1.0, 1.0, 0.0]))
    found = partial(cost, mass=2 / 3, epsilon=0.01, tol=1e-6)
    assert torch.allclose(found.plan, torch.diag(torch.tensor([1 / 3, 1 / 3, 0.0])), atol=1e-4)


def test_agrees_with_pot():
    pot = pytest.importorskip("ot", reason="POT is an extra")
    cost, a, b = torch.rand(7, 5).double(), torch.rand(7).double(), torch.rand(5).double()
    a, b = a / a.sum(), 2 * b / b.sum()
    plan = pot.partial.partial_wasserstein(a.numpy(), b.numpy(), cost.numpy(), m=0.6)
    found = partial(cost, a, b, 0.6, method="exact")
    assert abs(found.cost.item() - float((plan * cost.numpy()).sum())) < 1e-9
    assert abs(found.plan.sum().item() - 0.6) < 1e-9


def test_all_of_the_mass_and_gradient():
    cost = torch.rand(4, 4, requires_grad=True)
    found = partial(cost, mass=1.0, epsilon=0.05)
    found.cost.backward()
    assert cost.grad is not None
    assert torch.allclose(cost.grad, found.plan)


@pytest.mark.parametrize("mass", [0.0, -1.0, float("nan"), "0.5"])
def test_refuses_what_is_no_mass(mass):
    with pytest.raises(ConfigError, match="mass must be a positive number"):
        partial(torch.rand(3, 3), mass=mass)


def test_refuses_a_mass_that_is_not_there():
    with pytest.raises(ConfigError, match=r"mass must be at most the smaller total, 1; it is 1.5"):
        partial(torch.rand(3, 3), mass=1.5)


def test_refuses_an_epsilon_from_a_text():
    with pytest.raises(ConfigError, match=r"epsilon must be a positive number; it is '0.05'"):
        partial(torch.rand(3, 3), epsilon="0.05")  # type: ignore[arg-type]
