import pytest
import torch
from scipy.linalg import sqrtm
from torch.autograd import gradcheck

from kantor.core.errors import NonFiniteError, ShapeError
from kantor.ot import gaussian, gaussian_diagonal


def covariance(*shape):
    root = torch.randn(*shape, shape[-1] + 2).double()
    return root @ root.mT / shape[-1]


def test_agrees_with_scipy():
    m, n, s, t = torch.randn(4).double(), torch.randn(4).double(), covariance(4), covariance(4)
    root = sqrtm(s.numpy())
    expected = ((m - n) ** 2).sum() + (s + t).trace() - 2 * sqrtm(root @ t.numpy() @ root).trace().real
    assert torch.allclose(gaussian(m, s, n, t), expected, atol=1e-9)


def test_diagonal_is_a_special_case():
    m, n, v, w = (torch.rand(3, 5).double() + 0.1 for _ in range(4))
    full = gaussian(m, torch.diag_embed(v), n, torch.diag_embed(w))
    assert torch.allclose(gaussian_diagonal(m, v, n, w), full, atol=1e-10)


def test_gradients():
    m, n = (torch.randn(2, 3).double().requires_grad_() for _ in range(2))
    roots = [torch.randn(2, 3, 4).double().requires_grad_() for _ in range(2)]

    def distance(m, n, r, q):
        return gaussian(m, r @ r.mT, n, q @ q.mT)

    assert gradcheck(distance, (m, n, *roots))
    v, w = ((torch.rand(2, 3).double() + 0.1).requires_grad_() for _ in range(2))
    assert gradcheck(gaussian_diagonal, (m, v, n, w))


def test_singular_covariances():
    s = torch.zeros(3, 3).double().requires_grad_()
    t = torch.diag(torch.tensor([4.0, 0.0, 0.0])).double().requires_grad_()
    zero = torch.zeros(3).double()
    distance = gaussian(zero, s, zero, t)
    distance.backward()
    assert torch.allclose(distance, torch.tensor(4.0).double())
    assert s.grad is not None
    assert s.grad.isfinite().all()
    same = covariance(3)
    assert gaussian(zero, same, zero, same).abs() < 1e-9
    v = torch.zeros(3, requires_grad=True)
    gaussian_diagonal(torch.zeros(3), v, torch.zeros(3), torch.ones(3)).backward()
    assert v.grad is not None
    assert v.grad.isfinite().all()


def test_refusals():
    zero = torch.zeros(3)
    with pytest.raises(ShapeError, match="covariance_y"):
        gaussian(zero, torch.eye(3), zero, torch.eye(2))
    with pytest.raises(NonFiniteError, match="covariance_x"):
        gaussian(zero, torch.eye(3) * float("nan"), zero, torch.eye(3))
    with pytest.raises(ShapeError, match="differ in dimension"):
        gaussian_diagonal(zero, zero, torch.zeros(2), zero)
