"""Costs between the columns of two row-aligned matrices, as functions of sums over rows.

Neurons are columns: their activations over the samples are the rows. What a cost between neurons is made of are
sums over samples, and sums can be added over batches, averaged over steps and reduced over processes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from kantor.core.errors import ShapeError
from kantor.ot.cost import CostKind, check_kind, safe_sqrt
from kantor.ot.precision import no_autocast

_BLOCK = 2**17
"""Numbers that a block of rows holds: one MB in float64."""
_ROOM = 2.0**90
"""Gradients of the sums that single precision holds, with room for sums of them."""
_DEAD = 1e-75
"""Mean squares below it are of columns that single precision holds as zeros."""


@dataclass(frozen=True)
class Moments:
    """Sums over rows, in float64. Additive: the moments of two batches add up to those of their union.

    ``absolute`` (the sum of absolute differences) is there for the L1 cost alone.
    """

    count: Float[Tensor, ""]
    x_sum: Float[Tensor, " n"]
    y_sum: Float[Tensor, " m"]
    x_square: Float[Tensor, " n"]
    y_square: Float[Tensor, " m"]
    cross: Float[Tensor, "n m"]
    absolute: Float[Tensor, "n m"] | None = None

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets of rows together.

        Raises:
            ShapeError: the two were taken of different numbers of columns, or for different costs.
        """
        if self.cross.shape != other.cross.shape or (self.absolute is None) != (other.absolute is None):
            raise ShapeError(
                f"Moments of {tuple(self.cross.shape)} and {tuple(other.cross.shape)} columns, or of an L1 cost and "
                "another one, do not add up."
            )
        return Moments(
            count=self.count + other.count,
            x_sum=self.x_sum + other.x_sum,
            y_sum=self.y_sum + other.y_sum,
            x_square=self.x_square + other.x_square,
            y_square=self.y_square + other.y_square,
            cross=self.cross + other.cross,
            absolute=None if self.absolute is None or other.absolute is None else self.absolute + other.absolute,
        )

    def scaled(self, factor: float) -> "Moments":
        """Every sum, and the count, times ``factor``: the weight of these rows in a running average."""
        return self.map(lambda tensor: tensor * factor)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Moments":
        """``function`` applied to each tensor: an all-reduce, a detach, a move to another device."""
        return Moments(
            count=function(self.count),
            x_sum=function(self.x_sum),
            y_sum=function(self.y_sum),
            x_square=function(self.x_square),
            y_square=function(self.y_square),
            cross=function(self.cross),
            absolute=None if self.absolute is None else function(self.absolute),
        )


def moments(
    x: Float[Tensor, "*rows n"],
    y: Float[Tensor, "*rows m"],
    kind: CostKind = "correlation",
) -> Moments:
    """The sums over rows that ``cost_from(_, kind)`` needs. Differentiable in ``x`` and ``y``.

    Args:
        x: activations, one column per neuron: ``[rows, n]``, or ``[batch, rows, n]`` with rows that lie in blocks.
            A map that was flattened and transposed is not copied.
        y: the same rows' activations in the other layer.
        kind: the cost they are for; only ``l1`` needs more than the others.

    Raises:
        ShapeError: the rows differ, or there are none.
        ConfigError: the kind is unknown.
    """
    check_kind(kind)
    rows = math.prod(x.shape[:-1])
    if x.ndim not in (2, 3) or x.shape[:-1] != y.shape[:-1] or rows == 0:
        raise ShapeError(
            f"Neurons are compared over the same rows: x is {tuple(x.shape)}, y is {tuple(y.shape)}; "
            "expected [rows, n] and [rows, m], or both with a batch before that."
        )
    with no_autocast(x.device):
        count = torch.tensor(float(rows), dtype=torch.float64, device=x.device)
        absolute = None
        if kind == "l1":
            absolute = torch.cdist(*(z.double().flatten(0, -2).mT for z in (x, y)), p=1.0)
        x_sum, y_sum, x_square, y_square, cross = _Sums.apply(x, y)  # pyright: ignore[reportGeneralTypeIssues]
        return Moments(count, x_sum, y_sum, x_square, y_square, cross, absolute)


class _Sums(torch.autograd.Function):
    """Sums in float64, gradients in the columns' own precision (float32 at least), which nothing cancels in."""

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        # Differences of sums cancel: a neuron compared with its copy must cost 0, not float32's rounding.
        n, m = x.shape[-1], y.shape[-1]
        x_sum, y_sum, x_square, y_square, cross = (
            torch.zeros(shape, dtype=torch.float64, device=x.device) for shape in (n, m, n, m, (n, m))
        )
        rows = tuple(range(x.ndim - 1))
        # On a CPU the doubles of one block stay in its cache: a third of the time of widening all rows at once.
        block = max(1, _BLOCK // ((n + m) * math.prod(x.shape[1:-1]))) if x.device.type == "cpu" else len(x)
        for near_x, near_y in zip(x.split(block), y.split(block), strict=True):
            wide_x, wide_y = near_x.double(), near_y.double()
            x_sum += wide_x.sum(rows)
            y_sum += wide_y.sum(rows)
            x_square += wide_x.square().sum(rows)
            y_square += wide_y.square().sum(rows)
            products = wide_x.mT @ wide_y
            cross += products if x.ndim == 2 else products.sum(0)
        return x_sum, y_sum, x_square, y_square, cross

    @staticmethod
    def setup_context(ctx, inputs, output):  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, x_sum, y_sum, x_square, y_square, cross):  # type: ignore[override]
        x, y = ctx.saved_tensors
        wide = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
        grad_x = grad_y = None
        with no_autocast(x.device):
            near_x, near_y = x.to(wide), y.to(wide)
            if ctx.needs_input_grad[0]:
                grad_x = _gradient(near_x, near_y, x_sum, x_square, cross).to(x.dtype)
            if ctx.needs_input_grad[1]:
                grad_y = _gradient(near_y, near_x, y_sum, y_square, cross.mT).to(y.dtype)
        return grad_x, grad_y


def _gradient(own: Tensor, other: Tensor, grad_sum: Tensor, grad_square: Tensor, grad_cross: Tensor) -> Tensor:
    """Of the sums, whose gradients come in doubles, in the columns of ``own``; with a batch it lies in memory as a map
    does.

    Columns of 1e-20 have gradients of 1e20, and their sums of 1e40: what single precision does not hold is brought down
    by a power of two, which changes no digit, and the result brought up again, in two steps for each.
    """
    sums = grad_sum, grad_square, grad_cross
    largest = torch.stack([g.abs().max() for g in sums]).max()
    down = torch.where(largest > _ROOM, torch.exp2((torch.log2(largest / _ROOM) / 2).ceil().clamp(max=126.0)), 1.0)
    grad_sum, grad_square, grad_cross = ((g / down / down).to(own.dtype) for g in sums)
    if own.ndim == 2:
        grad = torch.addmm(grad_sum, other, grad_cross.mT)
    else:
        every = grad_cross.expand(len(own), *grad_cross.shape)
        grad = torch.baddbmm(grad_sum[:, None], every, other.mT).mT
    grad = grad.addcmul_(own, grad_square, value=2.0)
    # On a GPU looking would wait for it, and compiled code cannot look.
    if own.device.type == "cpu" and not torch.compiler.is_compiling() and down == 1:
        return grad
    up = down.to(own.dtype)
    return grad.mul_(up).mul_(up)


def cost_from(stats: Moments, kind: CostKind = "correlation") -> Float[Tensor, "n m"]:
    """The cost between columns, from their moments, in float64.

    ``sqeuclidean`` is the *mean* over rows of squared differences, so that it does not grow with the batch;
    ``euclidean`` its root; ``l1`` the mean absolute difference; ``cosine`` and ``correlation`` one minus the cosine
    and the correlation. A column of zeros (a constant one, for the correlation) costs 1 with every other, gradient 0;
    numbers below 1e-37 count as zeros.

    Raises:
        ShapeError: the L1 cost is asked of moments that were not taken for it.
        ConfigError: the kind is unknown.
    """
    check_kind(kind)
    if kind == "l1":
        if stats.absolute is None:
            raise ShapeError('These moments hold no absolute differences: take them with moments(x, y, "l1").')
        return stats.absolute / stats.count
    if kind in ("sqeuclidean", "euclidean"):
        squares = (stats.x_square[:, None] + stats.y_square[None, :] - 2.0 * stats.cross) / stats.count
        # What is left of a difference that cancels completely is rounding, and a root would magnify it. NaN and
        # infinity are not below the noise, and stay.
        noise = 8 * torch.finfo(squares.dtype).eps * (stats.x_square[:, None] + stats.y_square[None, :]) / stats.count
        squares = torch.where(squares < noise, 0.0, squares)
        return squares if kind == "sqeuclidean" else safe_sqrt(squares)
    x_var, y_var, cross = stats.x_square, stats.y_square, stats.cross
    if kind == "correlation":
        x_var = x_var - stats.x_sum.square() / stats.count
        y_var = y_var - stats.y_sum.square() / stats.count
        cross = cross - stats.x_sum[:, None] * stats.y_sum[None, :] / stats.count
    x_root, y_root = (
        _inverse_root(x_var, stats.x_square, stats.count),
        _inverse_root(y_var, stats.y_square, stats.count),
    )
    return 1.0 - cross * x_root[:, None] * y_root[None, :]


def silent(stats: Moments, kind: CostKind = "correlation") -> tuple[Bool[Tensor, " n"], Bool[Tensor, " m"]]:
    """Which columns a cost can say nothing of: those of zeros for ``cosine``, constant ones for ``correlation``."""
    x_var, y_var = stats.x_square, stats.y_square
    if kind not in ("cosine", "correlation"):
        return torch.zeros_like(x_var, dtype=torch.bool), torch.zeros_like(y_var, dtype=torch.bool)
    if kind == "correlation":
        x_var = x_var - stats.x_sum.square() / stats.count
        y_var = y_var - stats.y_sum.square() / stats.count
    return (
        ~_more_than_rounding(x_var, stats.x_square, stats.count),
        ~_more_than_rounding(y_var, stats.y_square, stats.count),
    )


def _more_than_rounding(variance: Tensor, square: Tensor, count: Tensor) -> Tensor:
    return (variance > 1e-12 * square) & (variance > _DEAD * count)


def _inverse_root(variance: Tensor, square: Tensor, count: Tensor) -> Tensor:
    """``variance ** -0.5``; 0 with gradient 0 where the variance is nothing but rounding."""
    varies = _more_than_rounding(variance.detach(), square.detach(), count)
    return torch.where(varies, torch.where(varies, variance, torch.ones_like(variance)).rsqrt(), 0.0)
