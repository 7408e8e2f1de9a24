"""Linear CKA: how alike two layers are, blind to rotations and scale (Kornblith et al., arXiv 1905.00414)."""

from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import NonFiniteError, ShapeError


def linear_cka(a: Float[Tensor, "samples n"], b: Float[Tensor, "samples m"], *, debiased: bool = True) -> float:
    """``HSIC(a, b) / sqrt(HSIC(a, a) HSIC(b, b))`` with linear kernels ``K = a a^T``, ``L = b b^T``.

    Plain HSIC is ``|a_c^T b_c|_F^2`` of centred columns. It grows with the number of neurons over the number of
    samples, whatever the layers have in common; the default is Song et al.'s unbiased estimator (JMLR 2012, eq. 5) of
    all three, which does not. That one can fall a little below 0 where nothing is in common.

    Args:
        a: activations, one row a sample.
        b: the same samples' activations in the other layer.
        debiased: the unbiased estimator of HSIC; needs at least 4 samples.

    Returns:
        1 for a layer and a rotated, scaled or shifted copy; about 0 for unrelated layers; 0 where a layer is constant.

    Raises:
        ShapeError: one is not a matrix, the numbers of rows differ, or there are too few.
        NonFiniteError: an activation is NaN or infinite; names the rows.
    """
    least = 4 if debiased else 2
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[0] or a.shape[0] < least:
        raise ShapeError(
            f"CKA compares layers over the same samples, at least {least}: a is {tuple(a.shape)}, b is "
            f"{tuple(b.shape)}; expected [samples, n] and [samples, m]."
        )
    for name, x in (("a", a), ("b", b)):
        rows = (~x.isfinite()).any(dim=1)
        if rows.any():
            raise NonFiniteError(
                f"CKA: {name} is not finite in rows {rows.nonzero().flatten()[:16].tolist()}: the model diverged, or "
                "its weights are damaged."
            )
    hsic = _unbiased if debiased else _plain
    # Neither estimator sees a shift; without it large means would cancel badly.
    a, b = (x.double() - x.double().mean(0) for x in (a, b))
    scale = hsic(a, a) * hsic(b, b)
    return hsic(a, b) / scale**0.5 if scale > 0 else 0.0


def _plain(a: Tensor, b: Tensor) -> float:
    return (a.mT @ b).square().sum().item()


def _unbiased(a: Tensor, b: Tensor) -> float:
    """Up to the factor ``n (n - 3)``; kernels without their diagonal are never formed, only what they sum to."""
    n = a.shape[0]
    own_a, own_b = a.square().sum(1), b.square().sum(1)
    rows_a, rows_b = a @ a.sum(0) - own_a, b @ b.sum(0) - own_b
    trace = (a.mT @ b).square().sum() - own_a @ own_b
    return (trace + rows_a.sum() * rows_b.sum() / ((n - 1) * (n - 2)) - 2 * (rows_a @ rows_b) / (n - 2)).item()
