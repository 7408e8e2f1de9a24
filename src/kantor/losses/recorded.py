"""Transport through a few recorded Sinkhorn sweeps, which some published losses differentiate through."""

import math
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.losses.settings import positive

Gradient = Literal["recorded", "envelope"]
"""How a loss's gradient is made: through recorded sweeps, as published, or exactly for the converged problem."""

TOL = 1e-6
"""Marginal error of what ``envelope`` calls converged."""

_MOST = 80.0  # exp(-80) is still a normal float32


def recorded_cost(
    cost: Float[Tensor, "*shared n m"],
    a: Float[Tensor, "*batch n"],
    b: Float[Tensor, "*batch m"],
    *,
    epsilon: float,
    sweeps: int,
    first: Literal["rows", "columns"] = "rows",
    start: Float[Tensor, "*batch k"] | None = None,
    floor: float = 0.0,
) -> Float[Tensor, "*batch"]:
    """``<P, C>`` of ``P = diag(u) exp(-C / epsilon) diag(v)`` after a few scalings, differentiable through them.

    A sweep is ``u = a / (K v)`` and ``v = b / (K' u)``, in the order ``first`` says. The plan itself is never formed,
    so one cost can serve a batch of masses. What is recorded grows with the number of sweeps; for converged
    transport use ``kantor.ot``.

    Args:
        cost: each entry at most ``80 epsilon``; see :func:`check_kernel`.
        a: masses of the rows; zero is legal.
        b: masses of the columns.
        epsilon: in the units of the cost.
        sweeps: how many.
        first: which side is scaled first.
        start: the other side's scaling to begin with; uniform where left out.
        floor: added to the denominators.
    """
    kernel = (-cost / epsilon).exp()

    def to_columns(u: Tensor) -> Tensor:
        return (u.unsqueeze(-2) @ kernel).squeeze(-2)

    def to_rows(v: Tensor) -> Tensor:
        return (v.unsqueeze(-2) @ kernel.mT).squeeze(-2)

    other = b if first == "rows" else a
    u = v = other.new_full(other.shape, 1.0 / other.shape[-1]) if start is None else start
    for _ in range(sweeps):
        if first == "rows":
            u = a / (to_rows(v) + floor)
            v = b / (to_columns(u) + floor)
        else:
            v = b / (to_columns(u) + floor)
            u = a / (to_rows(v) + floor)
    return ((u.unsqueeze(-2) @ (kernel * cost)).squeeze(-2) * v).sum(-1)


def check_kernel(who: str, epsilon: float, sweeps: int, highest: float) -> None:
    """Refuse settings whose kernel would underflow.

    Args:
        who: the loss that asks.
        epsilon: its regularisation.
        sweeps: its recorded sweeps.
        highest: the largest cost it can meet.

    Raises:
        ConfigError: epsilon is below ``highest / 80``, or there is no sweep.
    """
    if not highest / _MOST <= epsilon < math.inf:
        raise ConfigError(f"{who}: epsilon must be at least {highest / _MOST:.3g} and finite, not {epsilon}.")
    positive(who, sweeps=sweeps)
