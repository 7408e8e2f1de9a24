import pytest
import torch
from scipy.stats import wasserstein_distance
from torch.autograd import gradcheck

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot import one_dimensional, sliced, solve


def test_agrees_with_scipy():
    x, y = torch.randn(9).double(), torch.randn(14).double()
    a, b = torch.rand(9).double(), torch.rand(14).double()
    a[3] = 0
    expected = wasserstein_distance(x.numpy(), y.numpy(), a.numpy(), b.numpy())
    assert torch.allclose(one_dimensional(x, y, a / a.sum(), b / b.sum(), p=1), torch.tensor(expected).double())
    expected = wasserstein_distance(x.numpy(), y.numpy())
    assert torch.allclose(one_dimensional(x, y, p=1), torch.tensor(expected).double())


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_agrees_with_the_exact_plan(p):
    pytest.importorskip("ot", reason="POT is an extra")
    x, y, a = torch.randn(2, 6).double(), torch.randn(2, 4).double(), torch.rand(2, 6).double()
    a = a / a.sum(-1, keepdim=True)
    exact = solve((x[..., :, None] - y[..., None, :]).abs() ** p, a, method="exact").value
    assert torch.allclose(one_dimensional(x, y, a, p=p), exact, atol=1e-10)


def test_a_translation():
    x = torch.randn(50)
    assert torch.allclose(one_dimensional(x, x[torch.randperm(50)] + 2.0), torch.tensor(4.0), atol=1e-4)
    assert one_dimensional(x, x.repeat(2), torch.full((50,), 0.02), torch.full((100,), 0.01)) < 1e-9


def test_gradients():
    x, y = (torch.randn(2, n).double().requires_grad_() for n in (5, 3))
    assert gradcheck(one_dimensional, (x, y))
    assert gradcheck(lambda x, y: one_dimensional(x, y[:, :1].expand(2, 5) + y.sum() * torch.arange(5)), (x, y))


def test_sliced():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 40, 3).double().requires_grad_()
    assert sliced(x, x[:, torch.randperm(40)], generator=generator).abs().max() < 1e-12
    shift = torch.tensor([1.0, 2.0, 2.0]).double()
    # The mean over directions of (shift . direction)^2 is |shift|^2 / d.
    found = sliced(x, x + shift, projections=4000, generator=generator)
    assert torch.allclose(found, torch.full((2,), 3.0).double(), rtol=0.1)
    found.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    weighted = sliced(x, x[:, :20], torch.full((40,), 1 / 40).double(), None, generator=generator)
    assert weighted.shape == (2,)


def test_refusals():
    with pytest.raises(ConfigError, match="p must be at least 1"):
        one_dimensional(torch.rand(3), torch.rand(3), p=0.5)
    with pytest.raises(ShapeError, match="share their leading"):
        one_dimensional(torch.rand(2, 3), torch.rand(3))
    with pytest.raises(ShapeError, match=r"\[\.\.\., n, d\]"):
        sliced(torch.rand(3, 2), torch.rand(3, 4))
    with pytest.raises(ConfigError, match="same total mass"):
        one_dimensional(torch.rand(3), torch.rand(2), torch.ones(3), torch.ones(2))
    with pytest.raises(ShapeError, match=r"x holds no points: it is \[0\]"):
        one_dimensional(torch.rand(0), torch.rand(0))
    with pytest.raises(ShapeError, match=r"y holds no points: it is \[0, 2\]"):
        sliced(torch.rand(3, 2), torch.rand(0, 2))
    with pytest.raises(ConfigError, match="projections must be at least 1; it is 0"):
        sliced(torch.rand(3, 2), torch.rand(3, 2), projections=0)
    with pytest.raises(NonFiniteError, match=r"y is nan at index \(1,\)"):
        one_dimensional(torch.rand(2), torch.tensor([0.0, float("nan")]))
    with pytest.raises(NonFiniteError, match=r"x is inf at index \(1, 0\)"):
        sliced(torch.tensor([[0.0, 1.0], [float("inf"), 0.0]]), torch.rand(2, 2))
    with pytest.raises(ConfigError, match="a must be a torch tensor; it is a list"):
        sliced(torch.rand(2, 2), torch.rand(2, 2), [0.5, 0.5])  # type: ignore[arg-type]


@pytest.mark.parametrize("leading", [(), (1,)])
def test_masses_lead_no_further_than_the_points(leading):
    message = r"a is \[2, 3\]: its leading dimensions must expand to the points' \[1?\]"
    with pytest.raises(ShapeError, match=message):
        one_dimensional(torch.rand(*leading, 3), torch.rand(*leading, 4), torch.full((2, 3), 1 / 3))
    with pytest.raises(ShapeError, match=message):
        sliced(torch.rand(*leading, 3, 2), torch.rand(*leading, 4, 2), torch.full((2, 3), 1 / 3))
