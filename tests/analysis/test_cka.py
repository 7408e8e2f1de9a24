import itertools
import math

import pytest
import torch

from kantor.analysis import linear_cka
from kantor.core.errors import NonFiniteError, ShapeError


def hsic(k, other):
    """Tr(K H L H), by definition, with kernels and the centring matrix written out."""
    h = torch.eye(len(k), dtype=k.dtype) - 1 / len(k)
    return torch.trace(k @ h @ other @ h)


def hsic_unbiased(k, other):
    """The mean over ordered quadruples of different samples (Gretton et al. 2005, the definition of HSIC)."""
    quadruples = itertools.permutations(range(len(k)), 4)
    terms = [k[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q]) for i, j, q, r in quadruples]
    return sum(terms) / len(terms)


@pytest.mark.parametrize(("debiased", "by_definition"), [(False, hsic), (True, hsic_unbiased)])
def test_is_the_ratio_of_hsic(debiased, by_definition):
    a, b = torch.randn(7, 3, dtype=torch.float64) + 1, torch.randn(7, 4, dtype=torch.float64)
    b[:, :2] += a[:, :2]
    k, other = a @ a.T, b @ b.T
    want = by_definition(k, other) / (by_definition(k, k) * by_definition(other, other)).sqrt()
    assert linear_cka(a, b, debiased=debiased) == pytest.approx(float(want), abs=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_of_two_neurons_is_the_squared_correlation(angle):
    x = torch.randn(30, 2, dtype=torch.float64)
    u, v = torch.linalg.qr(x - x.mean(0))[0].T
    turned = math.cos(angle) * u + math.sin(angle) * v
    assert linear_cka(u[:, None], turned[:, None], debiased=False) == pytest.approx(math.cos(angle) ** 2, abs=1e-9)


@pytest.mark.parametrize("debiased", [True, False])
def test_invariances(debiased):
    a, b = torch.randn(40, 6), torch.randn(40, 5)
    b[:, :4] += a[:, :4]
    same = linear_cka(a, b, debiased=debiased)
    assert 0.05 < same < 0.95
    assert linear_cka(b, a, debiased=debiased) == pytest.approx(same)
    assert linear_cka(a[:, torch.randperm(6)], b, debiased=debiased) == pytest.approx(same)
    rotated = a @ torch.linalg.qr(torch.randn(6, 6))[0]
    assert linear_cka(rotated, b, debiased=debiased) == pytest.approx(same, abs=1e-5)
    assert linear_cka(3 * a + 7, b, debiased=debiased) == pytest.approx(same, abs=1e-5)
    assert linear_cka(a, 2 * a, debiased=debiased) == pytest.approx(1.0)


def test_debiasing_takes_away_what_width_alone_brings():
    torch.manual_seed(0)  # one draw in thirty is further than the bound
    a, b = torch.randn(60, 200), torch.randn(60, 200)
    assert linear_cka(a, b, debiased=False) > 0.7
    assert abs(linear_cka(a, b)) < 0.05


def test_a_constant_layer():
    assert linear_cka(torch.ones(10, 3), torch.randn(10, 2)) == 0.0


def test_rows_must_agree():
    with pytest.raises(ShapeError, match="at least 4"):
        linear_cka(torch.randn(3, 2), torch.randn(3, 2))
    with pytest.raises(ShapeError, match="same samples"):
        linear_cka(torch.randn(8, 2), torch.randn(9, 2))


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_an_error_and_not_unrelated(debiased, value):
    a, b = torch.randn(8, 3), torch.randn(8, 4)
    b[5, 1] = value
    with pytest.raises(NonFiniteError, match=r"b is not finite in rows \[5\]"):
        linear_cka(a, b, debiased=debiased)
    with pytest.raises(NonFiniteError, match=r"a is not finite in rows \[5\]"):
        linear_cka(b, a, debiased=debiased)
