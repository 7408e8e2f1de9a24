from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch.autograd import gradcheck, gradgradcheck

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot import cost, normalised, solve

KINDS = {
    "sqeuclidean": "sqeuclidean",
    "euclidean": "euclidean",
    "cosine": "cosine",
    "correlation": "correlation",
    "l1": "cityblock",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_agrees_with_scipy(kind, dtype):
    x, y = torch.randn(7, 5, dtype=dtype) + 3, torch.randn(4, 5, dtype=dtype) + 3
    metric: Any = KINDS[kind]
    expected = torch.from_numpy(cdist(x.double().numpy(), y.double().numpy(), metric))
    assert cost(x, y, kind).dtype == dtype
    assert torch.allclose(cost(x, y, kind).double(), expected, atol=1e-5 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    x, y = (torch.randn(2, n, 4, dtype=torch.float64, requires_grad=True) for n in (3, 5))
    assert gradcheck(lambda x, y: cost(x, y, kind), (x, y))


@pytest.mark.parametrize("kind", ["sqeuclidean", "cosine", "correlation"])
def test_closed_form_gradients(kind):
    """Far from zero, of features that several problems share, and twice."""
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    y = (torch.randn(5, 4, dtype=torch.float64) + 100).requires_grad_()
    assert gradcheck(lambda x, y: cost(x, y, kind), (x + 100, y), rtol=1e-4)
    assert gradcheck(lambda y: cost(x.detach(), y, kind), (y,), rtol=1e-4)
    assert gradgradcheck(lambda x: cost(x, y.detach() - 100, kind), (x,))


@pytest.mark.parametrize("kind", ["sqeuclidean", "cosine"])
def test_only_features_are_kept_for_the_gradient(kind):
    x, y = torch.randn(40, 3, requires_grad=True), torch.randn(50, 3, requires_grad=True)
    saved = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        cost(x, y, kind, "mean")
    assert sum(saved) <= 40 * 3 + 50 * 3 + 1
    saved.clear()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _ = solve(cost(x, y, kind, "mean")).value
    assert sum(saved) <= 40 * 50 + 4 * (40 + 50) + 40 * 3 + 50 * 3 + 1, "one matrix, from which the plan is made"


@pytest.mark.parametrize("kind", KINDS)
def test_degenerate_rows_have_finite_values_and_gradients(kind):
    x = torch.tensor([[0.0, 0, 0], [2, 2, 2], [1, 2, 3]], requires_grad=True)
    matrix = cost(x, x, kind)
    matrix.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    if kind in ("cosine", "correlation"):
        assert (matrix[0] == 1).all()
        assert matrix[2, 2].abs() < 1e-6
    else:
        assert torch.allclose(matrix.diagonal(), torch.zeros(3), atol=1e-6)


def test_a_constant_row_has_no_correlation():
    x = torch.full((1, 50), 0.1) * torch.tensor(3.3)
    assert cost(x, torch.randn(3, 50), "correlation").tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize("scale", [1e-18, 1e15])
def test_cosine_of_extreme_rows(scale):
    x = torch.randn(3, 8)
    assert torch.allclose(cost(x * scale, x, "cosine"), cost(x, x, "cosine"), atol=1e-6)


def test_normaliser_is_held_constant():
    x, y = torch.randn(3, 4, requires_grad=True), torch.randn(6, 4)
    for by in ("mean", "max"):
        raw = cost(x, y)
        scale = raw.mean() if by == "mean" else raw.max()
        (expected,) = torch.autograd.grad((raw * torch.arange(18.0).view(3, 6)).sum() / scale.detach(), x)
        (found,) = torch.autograd.grad((cost(x, y, normalise=by) * torch.arange(18.0).view(3, 6)).sum(), x)
        assert torch.allclose(found, expected, rtol=1e-4)
    assert torch.allclose(cost(x, y, normalise="mean").mean(), torch.tensor(1.0))
    assert torch.equal(normalised(torch.zeros(2, 2), "mean"), torch.zeros(2, 2))


def test_each_problem_of_a_batch_has_its_own_scale():
    matrix = torch.rand(2, 3, 4) * torch.tensor([1.0, 100.0])[:, None, None]
    assert torch.allclose(normalised(matrix, "mean").mean((-2, -1)), torch.ones(2))


def test_half_precision_and_autocast_are_computed_in_float32():
    x, y = torch.randn(5, 300), torch.randn(4, 300)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cost(x, y), cost(x, y))
        inside = cost(x, y)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, cost(x, y))
    assert cost(x.half(), y.half()).dtype == torch.float32


@pytest.mark.parametrize("kind", ["sqeuclidean", "euclidean", "cosine", "correlation", "l1"])
def test_points_without_coordinates_are_refused(kind):
    with pytest.raises(ShapeError, match="coordinate"):
        cost(torch.zeros(3, 0), torch.zeros(2, 0), kind)


def test_refusals():
    with pytest.raises(ShapeError, match=r"x is \(3, 4\), y is \(3, 5\)"):
        cost(torch.zeros(3, 4), torch.zeros(3, 5))
    with pytest.raises(ConfigError, match="sqeuclidean"):
        cost(torch.zeros(3, 4), torch.zeros(3, 4), "sqeuclid")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="normaliser 'median'"):
        cost(torch.zeros(3, 4), torch.zeros(3, 4), normalise="median")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"y must be a torch tensor; it is a numpy.ndarray"):
        cost(torch.zeros(3, 4), np.zeros((3, 4)))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_feature_that_is_not_finite_is_not_hidden(kind, bad):
    x, y = torch.randn(5, 4), torch.randn(3, 4)
    x[2, 1] = bad
    with pytest.raises(NonFiniteError, match=r"cost is (nan|inf) at index \(2, 0\)"):
        solve(cost(x, y, kind))
    with pytest.raises(NonFiniteError, match="cost is"):
        solve(cost(y, x, kind))


def test_euclidean_distances_of_close_points_are_exact():
    """From products a point would be 1e-7 from itself, and points 1e-6 apart would be off by 5e-4 of that."""
    x = torch.randn(3, 40, 8, generator=torch.Generator().manual_seed(0))
    moved = x + 1e-6 * torch.nn.functional.normalize(x.flip(1), dim=2)
    assert (cost(x, x, "euclidean").diagonal(dim1=1, dim2=2) == 0).all()
    expected = (x.double()[:, :, None] - moved.double()[:, None]).norm(dim=3)
    torch.testing.assert_close(cost(x, moved, "euclidean").double(), expected, rtol=1e-6, atol=0)
    same = torch.ones(40, 3)  # all close
    assert (cost(same, same, "euclidean") == 0).all()
    torch.testing.assert_close(cost(x[0], moved, "euclidean")[1], cost(x[0], moved[1], "euclidean"))
    near = x[0, :4].double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: cost(z, moved[0, :4].double(), "euclidean"), (near,), eps=1e-10, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["l1", "sqeuclidean", "euclidean", "cosine"])
def test_rows_of_two_precisions_meet_in_the_wider(kind):
    x, y = torch.rand(3, 4, dtype=torch.float64), torch.rand(5, 4)
    assert torch.allclose(cost(x, y, kind).double(), cost(x, y.double(), kind), atol=1e-6)


@pytest.mark.parametrize("kind", ["sqeuclidean", "euclidean", "cosine", "correlation"])
def test_no_rows_have_no_costs(kind):
    assert cost(torch.ones(0, 3), torch.ones(4, 3), kind).shape == (0, 4)
