"""Transport between Gaussians, in closed form: the Bures-Wasserstein distance."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot.cost import safe_sqrt
from kantor.ot.precision import no_autocast, upcast
from kantor.ot.problem import first_entry


def gaussian(
    mean_x: Float[Tensor, "... d"],
    covariance_x: Float[Tensor, "... d d"],
    mean_y: Float[Tensor, "... d"],
    covariance_y: Float[Tensor, "... d d"],
) -> Float[Tensor, "..."]:
    """The squared 2-Wasserstein distance of two Gaussians,
    ``|m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x^1/2 S_y S_x^1/2)^1/2)``.

    Differentiable (once) in all arguments; covariances may be singular, where the gradient is the one on their range.

    Raises:
        ShapeError: the shapes do not fit.
        NonFiniteError: a mean or a covariance is not finite.
        ConfigError: a covariance has an eigenvalue below 0, by more than rounding.
    """
    if mean_x.ndim < 1 or mean_x.shape[-1:] != mean_y.shape[-1:]:
        raise ShapeError(f"mean_x is {list(mean_x.shape)} and mean_y {list(mean_y.shape)}: both must be [..., d].")
    dimension = mean_x.shape[-1]
    for name, matrix in (("covariance_x", covariance_x), ("covariance_y", covariance_y)):
        if matrix.shape[-2:] != (dimension, dimension):
            raise ShapeError(f"{name} must be [..., {dimension}, {dimension}]; it is {list(matrix.shape)}.")
    _check_finite(mean_x=mean_x, covariance_x=covariance_x, mean_y=mean_y, covariance_y=covariance_y)
    _check_semidefinite("covariance_x", covariance_x)
    _check_semidefinite("covariance_y", covariance_y)
    with no_autocast(mean_x.device):
        means = (upcast(mean_x) - upcast(mean_y)).square().sum(-1)
        traces = sum(s.double().diagonal(dim1=-2, dim2=-1).sum(-1) for s in (covariance_x, covariance_y))
        fidelity = _Fidelity.apply(covariance_x, covariance_y)
        assert isinstance(fidelity, Tensor)
        value = means + traces - 2 * fidelity
        # Of equal covariances rounding is left, below zero too; a distance is not. The gradient stays what it is.
        return (value - value.detach().clamp_max(0.0)).to(means.dtype)


def gaussian_diagonal(
    mean_x: Float[Tensor, "... d"],
    variance_x: Float[Tensor, "... d"],
    mean_y: Float[Tensor, "... d"],
    variance_y: Float[Tensor, "... d"],
) -> Float[Tensor, "..."]:
    """The same for independent coordinates: ``|m_x - m_y|^2 + |s_x - s_y|^2``, with standard deviations ``s``.

    A variance of 0 has gradient 0.

    Raises:
        ShapeError: the last dimensions differ.
        NonFiniteError: a mean or a variance is not finite.
        ConfigError: a variance is negative.
    """
    tensors = (mean_x, variance_x, mean_y, variance_y)
    if len({tensor.shape[-1] for tensor in tensors}) > 1:
        raise ShapeError(f"Means and variances differ in dimension: {[list(tensor.shape) for tensor in tensors]}.")
    _check_finite(mean_x=mean_x, variance_x=variance_x, mean_y=mean_y, variance_y=variance_y)
    for name, variance in (("variance_x", variance_x), ("variance_y", variance_y)):
        if bool((below := variance.detach() < 0).any()):
            raise ConfigError(f"{name} is {first_entry(variance, below)}: a variance must be zero or more.")
    m_x, v_x, m_y, v_y = map(upcast, tensors)
    return (m_x - m_y).square().sum(-1) + (safe_sqrt(v_x) - safe_sqrt(v_y)).square().sum(-1)


def _check_finite(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if bool((bad := ~tensor.detach().isfinite()).any()):
            raise NonFiniteError(f"{name} is {first_entry(tensor, bad)}. Look for what made it so.")


def _check_semidefinite(name: str, matrix: Tensor) -> None:
    """Refuse an eigenvalue below 0 that the rounding of sums in the matrix's precision (or TF32) cannot explain."""
    wide = matrix.detach().double()
    size = wide.diagonal(dim1=-2, dim2=-1).abs().sum(-1)
    precision = torch.finfo(matrix.dtype if matrix.is_floating_point() else torch.float32).eps
    slack = (precision**0.5 * size).clamp_min(torch.finfo(wide.dtype).tiny)
    # A factorisation takes a small part of an eigenvalue problem's time.
    lifted = (wide + wide.mT) / 2 + torch.diag_embed(slack.unsqueeze(-1).expand(wide.shape[:-1]))
    failed = torch.linalg.cholesky_ex(lifted).info > 0
    if bool(failed.any()):
        index = tuple(torch.nonzero(failed)[0].tolist())
        lowest = torch.linalg.eigvalsh(lifted[index]).min().item() - slack[index].item()
        raise ConfigError(
            f"{name}{f' in problem {index}' if index else ''} is no covariance: its lowest eigenvalue is {lowest:.4g} "
            "and must be zero or more."
        )


class _Fidelity(torch.autograd.Function):
    """``tr (X^1/2 Y X^1/2)^1/2``, in float64. Its gradient in X is half the transport map's matrix from X to Y."""

    @staticmethod
    def forward(ctx, x, y):  # type: ignore[override]
        root, inverse = _roots(x)
        middle, middle_inverse = _roots(root @ y.double() @ root)
        ctx.save_for_backward(root, inverse, middle, middle_inverse)
        ctx.dtypes = x.dtype, y.dtype
        return middle.diagonal(dim1=-2, dim2=-1).sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        root, inverse, middle, middle_inverse = ctx.saved_tensors
        half = grad.double()[..., None, None] / 2
        grad_x = half * (inverse @ middle @ inverse)
        grad_y = half * (root @ middle_inverse @ root)
        return grad_x.to(ctx.dtypes[0]), grad_y.to(ctx.dtypes[1])


def _roots(x: Tensor) -> tuple[Tensor, Tensor]:
    """The square root of a positive semidefinite matrix, and its inverse on the range."""
    x = x.double()
    values, vectors = torch.linalg.eigh((x + x.mT) / 2)
    values = values.clamp_min(0.0).sqrt()
    held = values > 1e-7 * values.amax(-1, keepdim=True)
    inverse = torch.where(held, 1 / torch.where(held, values, torch.ones_like(values)), 0.0)
    return (vectors * values.unsqueeze(-2)) @ vectors.mT, (vectors * inverse.unsqueeze(-2)) @ vectors.mT
