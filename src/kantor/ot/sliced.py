"""One-dimensional transport, in closed form by sorting, and its average over directions."""

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot.precision import no_autocast, upcast
from kantor.ot.problem import check_real, first_entry, problem_of


def one_dimensional(
    x: Float[Tensor, "... n"],
    y: Float[Tensor, "... m"],
    a: Float[Tensor, "... n"] | None = None,
    b: Float[Tensor, "... m"] | None = None,
    p: float = 2.0,
) -> Float[Tensor, "..."]:
    """``W_p^p``, the least total of ``mass * |x - y|^p``, between measures on the line. Differentiable in the points.

    Args:
        x: points; leading dimensions are problems of their own.
        y: points of the other measure.
        a: masses of ``x``, zero or more; uniform where left out.
        b: masses of ``y``, with the same total.
        p: the power, at least 1.

    Raises:
        ConfigError: ``p`` is below 1, or the masses are no masses.
        ShapeError: the shapes do not fit, or there are no points.
        NonFiniteError: a point or a mass is not finite; the message holds the index.
    """
    if x.ndim < 1 or y.ndim < 1 or x.shape[:-1] != y.shape[:-1]:
        raise ShapeError(f"x and y must share their leading dimensions; they are {list(x.shape)} and {list(y.shape)}.")
    _check(x, y, a, b, x.shape[:-1], p)
    return _between_lines(upcast(x), upcast(y), a, b, p)


def _between_lines(
    x: Float[Tensor, "... n"], y: Float[Tensor, "... m"], a: Tensor | None, b: Tensor | None, p: float
) -> Float[Tensor, "..."]:
    with no_autocast(x.device):
        x, x_order = x.sort(-1)
        y, y_order = y.sort(-1)
        if a is None and b is None and x.shape[-1] == y.shape[-1]:
            return _power(x - y, p).mean(-1)
        held = x.detach()
        # The problem's checks want a cost; its diagonal in either set is all they look at.
        checked = problem_of(held.unsqueeze(-1) - y.detach().unsqueeze(-2), a, b)
        a_steps = checked.a.detach().double().gather(-1, x_order).cumsum(-1)
        b_steps = checked.b.detach().double().gather(-1, y_order).cumsum(-1)
        total = a_steps[..., -1:]
        a_steps, b_steps = a_steps / total, b_steps / b_steps[..., -1:]
        levels = torch.cat([a_steps, b_steps], -1).sort(-1).values
        width = levels.diff(dim=-1, prepend=torch.zeros_like(total))
        # The quantiles between two levels, read at their middle, clear of rounding at the steps themselves.
        middle = levels - width / 2
        at_x = torch.searchsorted(a_steps.contiguous(), middle.contiguous()).clamp_max(x.shape[-1] - 1)
        at_y = torch.searchsorted(b_steps.contiguous(), middle.contiguous()).clamp_max(y.shape[-1] - 1)
        distance = _power(x.gather(-1, at_x) - y.gather(-1, at_y), p)
        return ((width * total).to(x.dtype) * distance).sum(-1)


def sliced(
    x: Float[Tensor, "... n d"],
    y: Float[Tensor, "... m d"],
    a: Float[Tensor, "... n"] | None = None,
    b: Float[Tensor, "... m"] | None = None,
    projections: int = 64,
    p: float = 2.0,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "..."]:
    """``W_p^p`` of the points' projections, averaged over random directions (Bonneel et al. 2015).

    Args:
        x: points, one per row.
        y: points of the other measure.
        a: masses of ``x``; uniform where left out.
        b: masses of ``y``, with the same total.
        projections: how many directions.
        p: the power, at least 1.
        generator: of the directions, on the CPU; torch's own where left out.

    Raises:
        ShapeError: the rows have different lengths, or there are none.
        ConfigError: ``projections`` is below 1, or as ``one_dimensional``.
        NonFiniteError: as ``one_dimensional``.
    """
    if not projections >= 1:
        raise ConfigError(f"projections must be at least 1; it is {projections}.")
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1] or x.shape[:-2] != y.shape[:-2]:
        raise ShapeError(f"x and y must be [..., n, d] and [..., m, d]; they are {list(x.shape)} and {list(y.shape)}.")
    _check(x, y, a, b, x.shape[:-2], p)
    x, y = upcast(x), upcast(y)
    directions = torch.randn(x.shape[-1], projections, generator=generator, dtype=torch.float64)
    directions = (directions / directions.norm(dim=0)).to(x)
    with no_autocast(x.device):
        lines = [(points @ directions.to(points.dtype)).mT for points in (x, y)]
    masses = [None if mass is None else mass.unsqueeze(-2) for mass in (a, b)]
    return _between_lines(lines[0], lines[1], masses[0], masses[1], p).mean(-1)


def _check(x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, batch: torch.Size, p: float) -> None:
    """What the sorted quantiles would not show, of points whose leading dimensions are ``batch``."""
    if not p >= 1:
        raise ConfigError(f"p must be at least 1; it is {p}.")
    for name, points in (("x", x), ("y", y)):
        if points.numel() == 0:
            raise ShapeError(f"{name} holds no points: it is {list(points.shape)}.")
        if bool((bad := ~points.detach().isfinite()).any()):
            raise NonFiniteError(f"{name} is {first_entry(points, bad)}. Look for what made it so.")
    for name, mass in (("a", a), ("b", b)):
        if mass is None:
            continue
        check_real(name, mass)
        leading = mass.shape[:-1]
        if len(leading) > len(batch) or any(k not in (1, d) for k, d in zip(leading[::-1], batch[::-1], strict=False)):
            raise ShapeError(
                f"{name} is {list(mass.shape)}: its leading dimensions must expand to the points' {list(batch)}. "
                "To give several masses to the same points, expand the points."
            )


def _power(difference: Tensor, p: float) -> Tensor:
    return difference.square() if p == 2 else difference.abs().pow(p)
