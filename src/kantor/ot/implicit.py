"""A regularised plan that can be differentiated, by the conditions that hold at the optimum."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from kantor.core.errors import ConfigError
from kantor.ot.solve_any import solve

_TOLERANCE = 1e-9
_FLAT = 1e-13
"""Eigenvalues below this share of the largest are directions in which the plan does not move."""


def differentiable_plan(
    cost: Float[Tensor, "*batch n m"], a: Float[Tensor, " n"], b: Float[Tensor, " m"], epsilon: float
) -> Float[Tensor, "*batch n m"]:
    """The regularised plan of :func:`kantor.ot.solve`, with its exact gradient in the cost.

    With ``G`` the gradient in the plan, that in the cost is ``-P (G - u 1^T - 1 v^T) / epsilon``, where ``u`` and ``v``
    are such that its rows and columns sum to 0: one linear system of the smaller side, and no recorded sweep.

    Args:
        cost: in float64; leading dimensions are problems of their own.
        a, b: masses, all above 0, of one total.
        epsilon: the regularisation, in the units of the cost.

    Raises:
        ConfigError: the plan is not found to ``1e-6`` of its mass (``1e-9`` is asked for).
        ShapeError, NonFiniteError: as for :func:`kantor.ot.solve`.
    """
    plan = _Plan.apply(cost, a, b, epsilon)
    assert isinstance(plan, Tensor)
    return plan


class _Plan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cost, a, b, epsilon):  # type: ignore[override]
        found = solve(cost, a.expand(*cost.shape[:-2], -1), b.expand(*cost.shape[:-2], -1), epsilon, _TOLERANCE)
        if not bool((found.marginal_error <= 1e3 * _TOLERANCE).all()):
            raise ConfigError(
                f"The plan at epsilon {epsilon:g} was not found: its marginals are off by "
                f"{float(found.marginal_error.max()):.1g}. Take a larger epsilon."
            )
        ctx.save_for_backward(found.plan)
        ctx.epsilon = epsilon
        return found.plan

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        (plan,) = ctx.saved_tensors
        wide = plan.shape[-1] > plan.shape[-2]
        moved = _centred(plan.mT, grad.mT).mT if wide else _centred(plan, grad)
        return -moved / ctx.epsilon, None, None, None


def _centred(plan: Float[Tensor, "*batch n m"], grad: Float[Tensor, "*batch n m"]) -> Float[Tensor, "*batch n m"]:
    """``P (G - u 1^T - 1 v^T)``, whose rows and columns sum to 0; ``m`` is the smaller side."""
    weighted = plan * grad
    rows, columns = plan.sum(-1), plan.sum(-2)
    shares = plan / rows.unsqueeze(-1)
    system = torch.diag_embed(columns) - plan.mT @ shares
    right = weighted.sum(-2) - (shares.mT @ weighted.sum(-1, keepdim=True)).squeeze(-1)
    # One constant is free, and with it all that a plan which is nearly an assignment cannot exchange.
    values, vectors = torch.linalg.eigh(system)
    kept = values > _FLAT * values[..., -1:].clamp_min(1e-300)
    inverse = torch.where(kept, 1 / values.where(kept, torch.ones_like(values)), 0.0)
    v = (vectors @ (inverse * (vectors.mT @ right.unsqueeze(-1)).squeeze(-1)).unsqueeze(-1)).squeeze(-1)
    u = (weighted.sum(-1) - (plan @ v.unsqueeze(-1)).squeeze(-1)) / rows
    return plan * (grad - u.unsqueeze(-1) - v.unsqueeze(-2))
