import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch.autograd import gradcheck

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot import gaussian, gaussian_diagonal


def covariance(*shape):
    root = torch.randn(*shape, shape[-1] + 2).double()
    return root @ root.mT / shape[-1]


def test_agrees_with_scipy():
    m, n, s, t = torch.randn(4).double(), torch.randn(4).double(), covariance(4), covariance(4)
    root = np.asarray(sqrtm(s.numpy()))
    expected = ((m - n) ** 2).sum() + (s + t).trace() - 2 * np.trace(sqrtm(root @ t.numpy() @ root)).real
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
    with pytest.raises(ShapeError, match=r"mean_x is \[3\] and mean_y \[1\]"):
        gaussian(zero, torch.eye(3), torch.zeros(1), torch.eye(3))
    with pytest.raises(NonFiniteError, match=r"mean_y is nan at index \(1,\)"):
        gaussian(zero, torch.eye(3), torch.tensor([0, float("nan"), 0]), torch.eye(3))
    with pytest.raises(ConfigError, match=r"covariance_x is no covariance: its lowest eigenvalue is -1 "):
        gaussian(zero, -torch.eye(3), zero, torch.eye(3))
    with pytest.raises(ConfigError, match=r"covariance_y in problem \(1,\) is no covariance"):
        gaussian(zero, torch.eye(3), zero, torch.stack([torch.eye(3), torch.diag(torch.tensor([1.0, -0.1, 1.0]))]))
    with pytest.raises(NonFiniteError, match=r"variance_x is nan at index \(2,\)"):
        gaussian_diagonal(zero, torch.tensor([1, 1, float("nan")]), zero, torch.ones(3))
    with pytest.raises(ConfigError, match=r"variance_y is -4.0 at index \(1, 0\)"):
        gaussian_diagonal(zero, torch.ones(3), zero, torch.tensor([[1.0, 1, 1], [-4, 1, 1]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rounding_below_zero_is_no_negative_eigenvalue(dtype):
    rows = torch.randn(4, 64, dtype=dtype)
    singular = rows.mT @ rows
    zero = torch.zeros(64, dtype=dtype)
    assert gaussian(zero, singular, zero, singular).abs() < 1e-2 * singular.trace()
    assert gaussian(zero, 0 * singular, zero, 0 * singular) == 0


def test_a_gaussian_is_at_no_negative_distance_from_itself():
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64):
        for dimension in (2, 6, 20):
            root = torch.randn(dimension, dimension, generator=generator, dtype=dtype)
            mean, covariance = torch.zeros(dimension, dtype=dtype), root @ root.T
            value = gaussian(mean, covariance, mean, covariance)
            assert 0 <= value < 1e-5 * covariance.diagonal().sum()
