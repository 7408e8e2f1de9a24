"""Partial transport: only a given mass is moved, from and to wherever that is cheapest."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.ot.problem import check_positive, problem_of
from kantor.ot.solve_any import Method, solve
from kantor.ot.transport import Transport, cached_with_graph


@dataclass(frozen=True, eq=False)
class Partial:
    """The result of ``partial``."""

    given_cost: Float[Tensor, "... n m"]
    transport: Transport
    """The balanced problem it was solved as: the last row and column take the mass that stays."""

    @cached_property
    def plan(self) -> Float[Tensor, "*batch n m"]:
        """The plan, detached. Its entries sum to the mass that was asked for."""
        return self.transport.plan[..., :-1, :-1]

    @cached_with_graph
    def cost(self) -> Float[Tensor, "*batch"]:
        """``<P, C>``, differentiable in the cost with the plan held fixed."""
        return (self.plan * self.given_cost).sum(dim=(-2, -1))


def partial(
    cost: Float[Tensor, "... n m"],
    a: Float[Tensor, "... n"] | None = None,
    b: Float[Tensor, "... m"] | None = None,
    mass: float = 0.5,
    epsilon: float = 0.05,
    tol: float = 1e-3,
    method: Method = "auto",
) -> Partial:
    """The cheapest plan with ``P 1 <= a``, ``P^T 1 <= b`` and ``sum(P) = mass``.

    Solved as a balanced problem with one more row and column that take what stays, at no cost, and may not exchange
    mass with each other (Caffarelli & McCann 2010; Chapel et al., NeurIPS 2020). With an epsilon the plan is the
    regularised one of that problem, and a share of the mass of order ``exp(-max(C) / epsilon)`` leaks.

    Args:
        cost: as for ``solve``.
        a: masses of the rows; totals need not be equal.
        b: masses of the columns.
        mass: how much to move, at most either total.
        epsilon: the regularisation, in the units of the cost.
        tol: as for ``solve``.
        method: as for ``solve``; ``"exact"`` needs POT.

    Raises:
        ConfigError: ``mass`` or ``epsilon`` is not positive, or there is less mass.
        ShapeError, NonFiniteError: as for ``solve``.
    """
    check_positive("mass", mass)
    check_positive("epsilon", epsilon)
    problem = problem_of(cost, a, b, balanced=False)
    totals = problem.a.sum(-1, keepdim=True), problem.b.sum(-1, keepdim=True)
    most = min(float(total.detach().min()) for total in totals)
    if mass > most * (1 + 1e-6):
        raise ConfigError(f"mass must be at most the smaller total, {most:.6g}; it is {mass}.")
    stay_a, stay_b = ((total - mass).clamp_min(0.0) for total in totals)
    matrix = problem.cost
    # Any cost that is dear enough to keep the two absorbers apart, whatever the regularisation.
    barrier = 2 * max(abs(problem.lowest), abs(problem.highest)) + 30 * epsilon
    matrix = torch.nn.functional.pad(matrix, (0, 1, 0, 1))
    corner = torch.zeros_like(matrix)
    corner[..., -1, -1] = barrier
    transport = solve(
        matrix + corner,
        torch.cat([problem.a, stay_b], -1),
        torch.cat([problem.b, stay_a], -1),
        epsilon,
        tol,
        method,
    )
    return Partial(problem.cost, transport)
