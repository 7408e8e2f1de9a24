import pytest
import torch
from torch.autograd import gradcheck

from kantor.core.errors import ShapeError
from kantor.ot import cost, cost_from, moments

KINDS = ["sqeuclidean", "euclidean", "cosine", "correlation", "l1"]


def expected(x, y, kind):
    rows = {"sqeuclidean": x.shape[0], "euclidean": x.shape[0] ** 0.5, "l1": x.shape[0]}.get(kind, 1.0)
    return cost(x.mT.double(), y.mT.double(), kind) / rows


@pytest.mark.parametrize("kind", KINDS)
def test_is_the_cost_between_columns(kind):
    x, y = torch.randn(20, 5) + 2, torch.randn(20, 3)
    assert torch.allclose(cost_from(moments(x, y, kind), kind), expected(x, y, kind), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_add_up(kind):
    x, y = torch.randn(20, 5), torch.randn(20, 3)
    parts = moments(x[:7], y[:7], kind) + moments(x[7:], y[7:], kind)
    assert torch.allclose(cost_from(parts, kind), expected(x, y, kind), atol=1e-9)


def test_many_rows_and_half_precision():
    x, y = torch.randn(3000, 96).to(torch.bfloat16), torch.randn(3000, 64)  # more rows than a block holds
    assert torch.allclose(cost_from(moments(x, y), "correlation"), expected(x, y, "correlation"), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_rows_is_all_rows(kind):
    x, y = (torch.randn(4, n, 3, dtype=torch.float64, requires_grad=True) for n in (3, 2))  # [batch, neurons, rows]
    flat = x.mT.flatten(0, 1), y.mT.flatten(0, 1)
    assert torch.allclose(cost_from(moments(x.mT, y.mT, kind), kind), cost_from(moments(*flat, kind), kind), atol=1e-12)
    assert gradcheck(lambda x, y: cost_from(moments(x.mT, y.mT, kind), kind), (x, y))


@pytest.mark.parametrize("kind", KINDS)
def test_scaling_every_sum_leaves_the_cost(kind):
    stats = moments(torch.randn(20, 5), torch.randn(20, 3), kind)
    assert torch.allclose(cost_from(stats.scaled(0.1), kind), cost_from(stats, kind), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    x, y = (torch.randn(6, n, dtype=torch.float64, requires_grad=True) for n in (3, 2))
    assert gradcheck(lambda x, y: cost_from(moments(x, y, kind), kind), (x, y))


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_costs_nothing_to_its_copy(kind):
    x = torch.randn(64, 6).relu().requires_grad_()
    matrix = cost_from(moments(x, x, kind), kind)
    assert matrix.diagonal().abs().max() < 1e-12
    matrix.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["cosine", "correlation"])
def test_a_dead_neuron_costs_one_with_no_gradient(kind):
    x = torch.randn(30, 4)
    x[:, 1] = 0.0
    x[:, 2] = 0.7 if kind == "correlation" else 0.0
    x.requires_grad_()
    matrix = cost_from(moments(x, torch.randn(30, 3), kind), kind)
    matrix.sum().backward()
    assert (matrix[1:3] == 1).all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (x.grad[:, 1:3] == 0).all()
    assert (x.grad[:, 0] != 0).any()


def test_map_detaches_every_tensor():
    stats = moments(torch.randn(4, 3, requires_grad=True), torch.randn(4, 2), "l1")
    assert stats.cross.requires_grad
    assert not cost_from(stats.map(torch.Tensor.detach), "l1").requires_grad


def test_refusals():
    with pytest.raises(ShapeError, match=r"\(4, 3\).*\(5, 3\)"):
        moments(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(ShapeError, match="absolute"):
        cost_from(moments(torch.randn(4, 3), torch.randn(4, 3), "cosine"), "l1")
    with pytest.raises(ShapeError, match="add up"):
        _ = moments(torch.randn(4, 3), torch.randn(4, 3)) + moments(torch.randn(4, 2), torch.randn(4, 3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("y", [torch.randn(20, 3), torch.randn(20, 3).abs(), torch.zeros(20, 3)])
def test_an_activation_that_is_not_finite_is_not_hidden(kind, bad, y):
    x = torch.randn(20, 5)
    x[7, 2] = bad
    for matrix in (cost_from(moments(x, y, kind), kind), cost_from(moments(y, x, kind), kind).mT):
        assert not matrix[2].isfinite().any()
        assert matrix[[0, 1, 3, 4]].isfinite().all()


@pytest.mark.parametrize("kind", ["cosine", "correlation"])
@pytest.mark.parametrize("scales", [(1e-20, 1.0), (1.0, 1e-30), (1e-30, 1e-30), (1e-25, 1e20)])
def test_gradients_of_tiny_columns_in_single_precision(kind, scales):
    """They are those of the same columns in double precision, and of the inverse of their scale."""
    torch.manual_seed(0)
    x, y = (scale * torch.randn(16, n, dtype=torch.float64) for scale, n in zip(scales, (3, 4), strict=True))

    def gradients(dtype):
        leaves = x.to(dtype).requires_grad_(), y.to(dtype).requires_grad_()
        (cost_from(moments(leaves[0], leaves[1], kind), kind) * torch.arange(12.0).view(3, 4)).sum().backward()
        return [leaf.grad.double() * scale for leaf, scale in zip(leaves, scales, strict=True)]

    for single, double in zip(gradients(torch.float32), gradients(torch.float64), strict=True):
        torch.testing.assert_close(single, double, rtol=1e-3, atol=1e-4)


def test_what_single_precision_holds_as_zeros_is_a_dead_neuron():
    x, y = torch.randn(8, 2).mul(1e-40).requires_grad_(), torch.randn(8, 3)
    cost = cost_from(moments(x, y), "correlation")
    assert bool((cost == 1).all())
    cost.sum().backward()
    assert bool((x.grad == 0).all())
