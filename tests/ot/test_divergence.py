import pytest
import torch
from torch.autograd import gradcheck

from kantor.core.errors import NonFiniteError
from kantor.ot import divergence


@pytest.mark.parametrize("kind", ["sqeuclidean", "euclidean", "l1"])
def test_zero_on_itself_and_positive_elsewhere(kind):
    x, y = torch.randn(20, 3).double(), torch.randn(15, 3).double() + 0.3
    assert divergence(x, x[torch.randperm(20)], epsilon=0.5, kind=kind, tol=1e-9).abs() < 1e-9
    assert divergence(x, y, epsilon=0.5, kind=kind, tol=1e-9) > 0.01


def test_a_shift_costs_its_square():
    # For the squared distance, moving a measure rigidly costs exactly that, at any epsilon.
    x, shift = torch.randn(30, 4).double(), torch.tensor([0.3, -0.2, 0.1, 0.5]).double()
    for epsilon in (0.1, 10.0):
        found = divergence(x, x + shift, epsilon=epsilon, tol=1e-10)
        assert torch.allclose(found, shift.square().sum(), atol=1e-7)


def test_gradients_and_batches():
    x, y = (torch.randn(2, n, 2).double().requires_grad_() for n in (4, 3))
    logits = torch.randn(2, 4).double().requires_grad_()
    assert gradcheck(lambda x, y, a: divergence(x, y, a.softmax(-1), epsilon=0.5, tol=1e-11), (x, y, logits))


def test_a_mass_left_out_has_the_others_total():
    x, y, a = torch.randn(6, 2).double(), torch.randn(5, 2).double(), torch.full((6,), 2 / 6).double()
    for masses in ((a, None), (None, a), (a.expand(3, 6), None)):
        assert divergence(x, x, *masses, tol=1e-9).abs().max() < 1e-9
    whole = divergence(x, y, a, torch.full((5,), 2 / 5).double(), tol=1e-9)
    assert torch.allclose(divergence(x, y, a, tol=1e-9), whole)
    assert torch.allclose(divergence(y, x, None, a, tol=1e-9), whole)


def test_points_that_are_not_finite_are_refused():
    x, y = torch.randn(6, 2), torch.randn(5, 2)
    x[1, 0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"cost is nan at index \(1, 0\)"):
        divergence(x, y, kind="euclidean")
