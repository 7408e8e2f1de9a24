import builtins

import pytest
import torch

from kantor.core.errors import KantorError
from kantor.ot import cost, solve


def test_a_permutation_is_found_and_costs_nothing():
    x = torch.randn(30, 4)
    order = torch.randperm(30)
    transport = solve(cost(x, x[order], "euclidean"), method="exact")
    assert transport.value.abs() < 1e-6
    assert torch.equal(transport.plan.argmax(0), order)
    assert torch.allclose(transport.plan.amax(0), torch.full((30,), 1 / 30))
    assert transport.potentials is None
    assert transport.converged


def test_unequal_masses_meet_the_marginals_and_complementary_slackness():
    pytest.importorskip("ot", reason="POT is an extra")
    matrix = torch.rand(2, 8, 5, dtype=torch.float64)
    a, b = torch.rand(8, dtype=torch.float64).softmax(0), torch.rand(2, 5, dtype=torch.float64).softmax(-1)
    transport = solve(matrix, a, b, method="exact")
    assert torch.allclose(transport.plan.sum(-1), a.expand(2, 8), atol=1e-12)
    assert torch.allclose(transport.plan.sum(-2), b, atol=1e-12)
    assert transport.potentials is not None
    f, g = transport.potentials
    slack = matrix - f[..., :, None] - g[..., None, :]
    assert slack.min() > -1e-12
    assert (slack * transport.plan).abs().max() < 1e-12
    assert torch.allclose((a * f).sum(-1) + (b * g).sum(-1), transport.value, atol=1e-12)


def test_zero_masses_have_potentials():
    pytest.importorskip("ot", reason="POT is an extra")
    a = torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64, requires_grad=True)
    matrix = torch.tensor([[1.0, 2.0], [3.0, 5.0], [4.0, 9.0]], dtype=torch.float64)
    transport = solve(matrix, a, torch.tensor([1.0, 0.0], dtype=torch.float64), method="exact")
    transport.value.backward()
    assert transport.value.item() == 3.5
    assert a.grad is not None
    assert a.grad.isfinite().all()
    assert transport.potentials is not None
    f, g = transport.potentials
    # Defined by the c-transform from where there is mass, so feasible against all of that.
    slack = matrix - f[:, None] - g
    assert slack[1:].min() > -1e-12
    assert slack[:, 0].min() > -1e-12


def test_gradients():
    pytest.importorskip("ot", reason="POT is an extra")
    matrix = torch.rand(4, 6, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(4, dtype=torch.float64, requires_grad=True)

    def value(matrix, logits):
        return solve(matrix, logits.softmax(0), method="exact").value

    assert torch.autograd.gradcheck(value, (matrix, logits), eps=1e-7)


def test_missing_pot_names_the_remedy(monkeypatch):
    true_import = builtins.__import__

    def without_pot(name, *args, **kwargs):
        if name == "ot":
            raise ModuleNotFoundError(name, name=name)
        return true_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pot)
    with pytest.raises(KantorError, match=r"pip install 'kantor\[emd\]'"):
        solve(torch.rand(3, 4), method="exact")
    assert solve(torch.rand(3, 3), method="exact").converged
