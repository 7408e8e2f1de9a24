"""Ground costs between two sets of points."""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError, ShapeError, suggest
from kantor.ot.precision import no_autocast, upcast
from kantor.ot.problem import check_real

CostKind = Literal["sqeuclidean", "euclidean", "cosine", "correlation", "l1"]
Normaliser = Literal["mean", "max"]

_CLOSE = 1e-4
"""Points are close where the square of their distance is below this share of the squares of their lengths: there
float64's products leave less than eleven digits of it."""


def cost(
    x: Float[Tensor, "... n d"],
    y: Float[Tensor, "... m d"],
    kind: CostKind = "sqeuclidean",
    normalise: Normaliser | None = None,
) -> Float[Tensor, "... n m"]:
    """The cost of moving each row of ``x`` to each row of ``y``.

    ``sqeuclidean`` is the sum over coordinates of squared differences, ``euclidean`` its root, ``l1`` the sum of
    absolute differences, ``cosine`` ``1 - cos`` and ``correlation`` ``1 - corr`` of the two rows.
    A row of zeros (a constant row, for the correlation) has cosine 0 with every other: cost 1, gradient 0.

    Args:
        x: source points, one per row. Half precision is computed in float32.
        y: target points, one per row.
        kind: which cost.
        normalise: divide by the cost's mean or maximum over each problem, held constant in the gradient, so that
            ``epsilon`` needs no knowledge of the features' scale. None leaves the cost's own units.

    Raises:
        ShapeError: the rows of ``x`` and ``y`` have different lengths or none, or one is not a matrix.
        ConfigError: the kind or the normaliser is unknown, or ``x`` or ``y`` is no real tensor.
    """
    check_kind(kind)
    check_real("x", x)
    check_real("y", y)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ShapeError(
            f"A cost compares rows of one length: x is {tuple(x.shape)}, y is {tuple(y.shape)}; "
            "expected [..., n, d] and [..., m, d]."
        )
    if x.shape[-1] == 0:
        raise ShapeError(f"Points need a coordinate at least: x is {tuple(x.shape)}, y is {tuple(y.shape)}.")
    common = torch.promote_types(upcast(x).dtype, upcast(y).dtype)
    x, y = x.to(common), y.to(common)
    with no_autocast(x.device):
        if kind == "l1":
            matrix = torch.cdist(x, y, p=1.0)
        elif kind == "euclidean":
            matrix = _distances(x.double(), y.double()).to(torch.promote_types(x.dtype, y.dtype))
        elif kind == "sqeuclidean":
            matrix = _matrix(_SquaredDistances, x, y)
        else:
            if kind == "correlation":
                x, y = _centred(x), _centred(y)
            matrix = _matrix(_OneMinusCosine, x, y)
        return normalised(matrix, normalise)


def normalised(matrix: Float[Tensor, "... n m"], by: Normaliser | None) -> Float[Tensor, "... n m"]:
    """``matrix`` divided by its detached mean or maximum (per problem); an all-zero matrix stays as it is.

    Raises:
        ConfigError: the normaliser is unknown.
    """
    if by is None:
        return matrix
    if by not in get_args(Normaliser):
        raise ConfigError(f"Unknown cost normaliser {by!r}. {suggest(str(by), get_args(Normaliser))} Or None.")
    held = matrix.detach()
    scale = held.mean(dim=(-2, -1), keepdim=True) if by == "mean" else held.amax(dim=(-2, -1), keepdim=True)
    return matrix / torch.where(scale > 0, scale, torch.ones_like(scale))


def check_kind(kind: str) -> None:
    """Refuse a cost kind that does not exist.

    Raises:
        ConfigError: with the kinds that do.
    """
    if kind not in get_args(CostKind):
        raise ConfigError(f"Unknown cost {kind!r}. {suggest(kind, get_args(CostKind))}")


def safe_sqrt(squares: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The root of ``max(squares, 0)``, with gradient 0 instead of infinity where it is 0. A NaN stays NaN."""
    zero = squares <= 0
    return torch.where(zero, 0.0, torch.where(zero, torch.ones_like(squares), squares).sqrt())


def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of ``x`` scaled to length 1, and their lengths ``[..., 1]``. A row of zeros stays so, with length 1."""
    # Dividing by the largest entry first keeps the squares of very small and very large rows in range.
    peak = x.detach().abs().amax(dim=-1, keepdim=True)
    peak = torch.where(peak > 0, peak, torch.ones_like(peak))
    unit = x / peak
    norm = unit.square().sum(dim=-1, keepdim=True).sqrt()
    norm = torch.where(norm > 0, norm, torch.ones_like(norm))
    return unit / norm, peak * norm


def _centred(x: Tensor) -> Tensor:
    mean = x.mean(dim=-1, keepdim=True)
    centred = x - mean
    # A constant row leaves rounding noise, whose direction would mean nothing. A NaN is not noise and stays.
    noise = 8 * torch.finfo(x.dtype).eps * x.detach().abs().amax(dim=-1, keepdim=True)
    return torch.where(
        centred.detach().abs().amax(dim=-1, keepdim=True) <= noise,
        torch.zeros_like(x),
        centred,
    )


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    x, y = _shifted(x, y)
    squares = x.square().sum(-1).unsqueeze(-1) + y.square().sum(-1).unsqueeze(-2) - 2.0 * (x @ y.mT)
    return squares.clamp_min(0.0)


def _distances(x: Float[Tensor, "... n d"], y: Float[Tensor, "... m d"]) -> Float[Tensor, "... n m"]:
    """Euclidean distances in float64: by products, and those of close points by differences.

    Products leave rounding of the squared lengths, which the root of a small square would magnify.
    """
    squares = _squared_distances(x, y)
    with torch.no_grad():
        near_x, near_y = _shifted(x, y)
        lengths = near_x.square().sum(-1).unsqueeze(-1) + near_y.square().sum(-1).unsqueeze(-2)
        close = (squares < _CLOSE * lengths).nonzero(as_tuple=True)
    if len(close[0]) > 4 * (squares.shape[-2] + squares.shape[-1]) * math.prod(squares.shape[:-2]):
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    *problem, i, j = close
    batch = squares.shape[:-2]
    from_x, to_y = x.expand(*batch, *x.shape[-2:]), y.expand(*batch, *y.shape[-2:])
    exact = (from_x[*problem, i] - to_y[*problem, j]).square().sum(-1)
    return safe_sqrt(squares.index_put(close, exact))


def _shifted(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # Distances do not see a common shift; without it far-away features would cancel to nothing.
    shift = y.detach().mean(dim=-2, keepdim=True)
    return x - shift, y - shift


class _SquaredDistances(torch.autograd.Function):
    """Keeps the features alone. With weights ``G`` the gradient in ``x`` is ``2 (diag(G 1) x - G y)``."""

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> Tensor:
        return _squared_distances(x, y)

    @staticmethod
    def setup_context(ctx, inputs, output):  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, weights):  # type: ignore[override]
        def pull(near: Tensor, other: Tensor, g: Tensor) -> Tensor:
            return 2.0 * (g.sum(-1, keepdim=True) * near - g @ other)

        return _gradients(ctx, weights, _shifted, pull)


class _OneMinusCosine(torch.autograd.Function):
    """Keeps the features alone. The gradient in a row is what ``-G v`` leaves across it, over the row's length."""

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> Tensor:
        return 1.0 - _unit(x)[0] @ _unit(y)[0].mT

    @staticmethod
    def setup_context(ctx, inputs, output):  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, weights):  # type: ignore[override]
        def pull(mine: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], g: Tensor) -> Tensor:
            (unit, length), (theirs, _) = mine, other
            return _across(unit, g @ theirs) / -length

        return _gradients(ctx, weights, lambda x, y: (_unit(x), _unit(y)), pull)


def _gradients(
    ctx: Any,
    weights: Tensor,
    seen: Callable[[Tensor, Tensor], tuple[Any, Any]],
    pull: Callable[[Any, Any, Tensor], Tensor],
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients in both sides' features: what ``pull(mine, other, weights)`` gives of them as they are ``seen``."""
    x, y = ctx.saved_tensors
    with no_autocast(x.device):
        mine, other = seen(x, y)
        grad_x = pull(mine, other, weights) if ctx.needs_input_grad[0] else None
        grad_y = pull(other, mine, weights.mT) if ctx.needs_input_grad[1] else None
    return _of_shape(grad_x, x), _of_shape(grad_y, y)


def _across(unit: Tensor, pull: Tensor) -> Tensor:
    """The part of ``pull`` that is orthogonal to ``unit``, row by row; nothing where a row is zero."""
    across = pull - (unit * pull).sum(-1, keepdim=True) * unit
    return torch.where((unit != 0).any(-1, keepdim=True), across, torch.zeros_like(across))


def _matrix(function: type[torch.autograd.Function], x: Tensor, y: Tensor) -> Tensor:
    dtype = torch.promote_types(x.dtype, y.dtype)
    matrix = function.apply(x.to(dtype), y.to(dtype))
    assert isinstance(matrix, Tensor)
    return matrix


def _of_shape(grad: Tensor | None, x: Tensor) -> Tensor | None:
    """Features that were shared by several problems take the sum of what comes from each."""
    return None if grad is None else grad.sum_to_size(x.shape)
