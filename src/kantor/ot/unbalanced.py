"""Unbalanced transport: the marginals are asked for, not imposed."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from kantor.core.errors import ConfigError
from kantor.ot.precision import no_autocast
from kantor.ot.problem import Problem, check_positive, problem_of
from kantor.ot.transport import Potentials, cached_with_graph, plan_of, weighted_plan


@dataclass(frozen=True, eq=False)
class Unbalanced:
    """The result of ``unbalanced``. Names as in ``Transport``."""

    problem: Problem
    epsilon: float
    rho: tuple[float, float]
    potentials: Potentials
    iterations: Int[Tensor, "*batch"]
    converged: Bool[Tensor, "*batch"]
    residual: Float[Tensor, "*batch"]
    """How far the potentials moved in the last sweep, over epsilon: 0 at the optimum."""

    @cached_property
    def plan(self) -> Float[Tensor, "*batch n m"]:
        """The plan, detached. Its mass is what the optimum moves, not the masses' total."""
        return plan_of(self.problem.cost, self.problem.a, self.problem.b, *self.potentials, self.epsilon)

    @cached_with_graph
    def cost(self) -> Float[Tensor, "*batch"]:
        """``<P, C>``, differentiable in the cost with the plan held fixed."""
        with no_autocast(self.problem.cost.device):
            return (self.plan * self.problem.cost).sum(dim=(-2, -1))

    @cached_with_graph
    def value(self) -> Float[Tensor, "*batch"]:
        """The minimum of the objective, differentiable (once) in cost and masses by the envelope theorem."""
        p = self.problem
        value = _Value.apply(p.cost, p.a, p.b, *self.potentials, self.epsilon, *self.rho)
        assert isinstance(value, Tensor)
        return value


def unbalanced(
    cost: Float[Tensor, "... n m"],
    a: Float[Tensor, "... n"] | None = None,
    b: Float[Tensor, "... m"] | None = None,
    epsilon: float = 0.05,
    rho: float | tuple[float, float] = 1.0,
    tol: float = 1e-4,
    max_iterations: int = 5_000,
) -> Unbalanced:
    """The minimum over plans ``P >= 0`` of
    ``<P, C> + epsilon KL(P | a b^T) + rho_a KL(P 1 | a) + rho_b KL(P^T 1 | b)``,
    with ``KL(p | q) = sum p log(p / q) - p + q``.

    Log-domain sweeps in float64 with the optimal translation of the potentials after each (Sejourne, Vialard & Peyre,
    AISTATS 2022). Some libraries regularise by the plan's entropy instead, which is another objective.

    Args:
        cost: as for ``solve``.
        a: masses of the rows; totals need not be equal.
        b: masses of the columns.
        epsilon: the regularisation, in the units of the cost.
        rho: what a unit of mass created or destroyed costs, in the units of the cost; ``(rho_a, rho_b)`` for each
            side. Infinite on one side imposes that marginal.
        tol: largest move of a potential in a sweep, over epsilon, at which a problem is done.
        max_iterations: sweeps after which a problem is given up.

    Raises:
        ShapeError, NonFiniteError, ConfigError: as for ``solve``, without the demand of equal totals.
    """
    check_positive("epsilon", epsilon)
    check_positive("tol", tol)
    check_positive("max_iterations", max_iterations)
    rho_a, rho_b = rho if isinstance(rho, tuple) else (rho, rho)
    if not (rho_a > 0 and rho_b > 0):
        raise ConfigError(f"rho must be positive on both sides; it is {rho}.")
    if math.isinf(rho_a) and math.isinf(rho_b):
        raise ConfigError("rho is infinite on both sides, which is balanced transport: use solve.")
    problem = problem_of(cost, a, b, balanced=False)
    potentials, iterations, residual = _sweeps(problem, epsilon, rho_a, rho_b, tol, max_iterations)
    return Unbalanced(problem, epsilon, (rho_a, rho_b), potentials, iterations, residual <= tol, residual)


@torch.no_grad()
def _sweeps(
    problem: Problem, epsilon: float, rho_a: float, rho_b: float, tol: float, max_iterations: int
) -> tuple[Potentials, Tensor, Tensor]:
    matrix, p, q = (x.detach().double() for x in (problem.cost, problem.a, problem.b))
    log_p, log_q = p.log(), q.log()
    kappa_a, kappa_b = (1.0 if math.isinf(r) else r / (r + epsilon) for r in (rho_a, rho_b))
    g = torch.zeros_like(q)
    f = torch.zeros_like(p)
    iterations = torch.zeros(problem.batch, dtype=torch.int64, device=matrix.device)
    residual = torch.full(problem.batch, math.inf, dtype=torch.float64, device=matrix.device)
    for _ in range(max_iterations):
        active = residual > tol
        if not bool(active.any()):
            break
        new_f = -kappa_a * epsilon * torch.logsumexp((log_q + g / epsilon).unsqueeze(-2) - matrix / epsilon, dim=-1)
        new_g = -kappa_b * epsilon * torch.logsumexp((log_p + new_f / epsilon).unsqueeze(-1) - matrix / epsilon, dim=-2)
        shift = _translation(log_p, new_f, rho_a, log_q, new_g, rho_b)
        new_f, new_g = new_f + shift, new_g - shift
        change = torch.maximum((new_f - f).abs().amax(-1), (new_g - g).abs().amax(-1)) / epsilon
        f = torch.where(active.unsqueeze(-1), new_f, f)
        g = torch.where(active.unsqueeze(-1), new_g, g)
        residual = torch.where(active, change, residual)
        iterations += active
    return (f, g), iterations, residual


def _translation(log_p: Tensor, f: Tensor, rho_a: float, log_q: Tensor, g: Tensor, rho_b: float) -> Tensor | float:
    """The constant to add to f and take from g at which the dual is largest."""
    if math.isinf(rho_a) or math.isinf(rho_b):
        return 0.0  # an imposed marginal has its potential defined by the other already
    ratio = torch.logsumexp(log_p - f / rho_a, -1) - torch.logsumexp(log_q - g / rho_b, -1)
    return (rho_a * rho_b / (rho_a + rho_b) * ratio).unsqueeze(-1)


def _conjugate(potential: Tensor, rho: float) -> Tensor:
    """What a unit of mass at this potential contributes to the dual."""
    return potential if math.isinf(rho) else -rho * torch.expm1(-potential / rho)


class _Value(torch.autograd.Function):
    """The dual objective at the potentials, as for balanced transport."""

    @staticmethod
    def forward(ctx, cost, a, b, f, g, epsilon, rho_a, rho_b):  # type: ignore[override]
        ctx.save_for_backward(cost, a, b, f, g)
        ctx.settings = epsilon, rho_a, rho_b
        p, q = a.double(), b.double()
        mass = plan_of(cost.double(), p, q, f, g, epsilon).sum((-2, -1))
        ends = (p * _conjugate(f, rho_a)).sum(-1) + (q * _conjugate(g, rho_b)).sum(-1)
        return (ends - epsilon * (mass - p.sum(-1) * q.sum(-1))).to(cost.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        cost, a, b, f, g = ctx.saved_tensors
        epsilon, rho_a, rho_b = ctx.settings
        p, q = a.double(), b.double()
        exponents = (f.unsqueeze(-1) + g.unsqueeze(-2) - cost.double()).div(epsilon).clamp_(max=700.0).exp_()
        weight = grad.unsqueeze(-1).double()
        rows = (exponents * q.unsqueeze(-2)).sum(-1) - q.sum(-1, keepdim=True)
        columns = (exponents * p.unsqueeze(-1)).sum(-2) - p.sum(-1, keepdim=True)
        return (
            weighted_plan(cost, a, b, f, g, epsilon, grad) if ctx.needs_input_grad[0] else None,
            (weight * (_conjugate(f, rho_a) - epsilon * rows)).to(a.dtype),
            (weight * (_conjugate(g, rho_b) - epsilon * columns)).to(b.dtype),
            *(5 * [None]),
        )
