"""What every solver returns: a transport, with its value, plan and potentials."""

import itertools
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from kantor.core.errors import ConfigError
from kantor.ot.kernel import numba_on
from kantor.ot.precision import no_autocast
from kantor.ot.problem import Problem

Potentials = tuple[Float[Tensor, "*batch n"], Float[Tensor, "*batch m"]]


class cached_with_graph(cached_property[Tensor]):  # noqa: N801 (lower case as the class it extends)
    """A cached property for what carries a gradient: read under ``no_grad`` it has none, and is not kept."""

    def __get__(self, instance: object, owner: type | None = None) -> Tensor:  # type: ignore[override]
        if instance is None or torch.is_grad_enabled():
            return super().__get__(instance, owner)  # type: ignore[return-value] (the property itself, of the class)
        return self.func(instance)


@dataclass(frozen=True, eq=False)
class Transport:
    """The result of a solver. ``[*batch]`` are the problem's leading dimensions, none for a single one.

    One convention: ``P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon)`` minimises
    ``<P, C> + epsilon KL(P | a b^T)`` over plans with marginals ``a`` and ``b``.
    Without an epsilon (exact, proximal) the objective is ``<P, C>``.
    """

    problem: Problem
    epsilon: float | None
    """In the units of the cost; None where nothing regularises."""
    potentials: Potentials | None
    """``(f, g)`` in float64, detached, defined where a mass is zero too. None for a plan found without them."""
    marginal_error: Float[Tensor, "*batch"]
    """L1 distance of the plan's marginals to ``a`` and ``b``, over the total mass."""
    iterations: Int[Tensor, "*batch"]
    """Sweeps (or passes of that cost) spent on each problem."""
    converged: Bool[Tensor, "*batch"]
    """Whether ``marginal_error`` reached the tolerance that was asked for."""
    given_plan: Float[Tensor, "*batch n m"] | None = None

    @cached_property
    def plan(self) -> Float[Tensor, "*batch n m"]:
        """The plan, detached, in the cost's dtype. Its entries sum to the total mass.

        Formed when first asked for, from the tensors that were given: ask before you change them in place.
        """
        if self.given_plan is not None:
            return self.given_plan
        assert self.potentials is not None
        assert self.epsilon is not None
        problem = self.problem
        return plan_of(problem.cost, problem.a, problem.b, *self.potentials, self.epsilon)

    @cached_with_graph
    def cost(self) -> Float[Tensor, "*batch"]:
        """``<P, C>``, differentiable in the cost with the plan held fixed.

        A surrogate, and what most papers train on: for a regularised plan it is not the gradient of ``<P, C>``,
        whose plan would move with the cost. ``value`` has its exact gradient.
        """
        with no_autocast(self.problem.cost.device):
            return (self.plan * self.problem.cost).sum(dim=(-2, -1))

    @cached_with_graph
    def value(self) -> Float[Tensor, "*batch"]:
        """The minimum of the objective, differentiable (once) in cost and masses by the envelope theorem.

        The gradient in the cost is the plan. In the masses it is the potentials, up to the constant that no change
        of masses with equal totals can see.

        Raises:
            ConfigError: masses require a gradient and the solver gives no potentials.
        """
        problem = self.problem
        if self.epsilon is not None and self.potentials is not None:
            f, g = self.potentials
            value = _EntropicValue.apply(problem.cost, problem.a, problem.b, f, g, self.epsilon)
            assert isinstance(value, Tensor)
            return value
        value = self.cost
        for mass, side in ((problem.a, 0), (problem.b, 1)):
            if mass.requires_grad and torch.is_grad_enabled():
                if self.potentials is None:
                    raise ConfigError(
                        "This plan has no potentials, so its value has no gradient in the masses: "
                        'use method="auto" or "sinkhorn", or detach the masses.'
                    )
                value = value + ((mass - mass.detach()) * self.potentials[side]).sum(-1).to(value.dtype)
        return value


def plan_of(
    cost: Float[Tensor, "... n m"],
    a: Float[Tensor, "*batch n"],
    b: Float[Tensor, "*batch m"],
    f: Float[Tensor, "*batch n"],
    g: Float[Tensor, "*batch m"],
    epsilon: float,
) -> Float[Tensor, "*batch n m"]:
    """``a_i b_j exp((f_i + g_j - C_ij) / epsilon)``, detached, in the cost's dtype."""
    cost, a, b = cost.detach(), a.detach(), b.detach()
    if cost.device.type == "cpu" and cost.dtype == torch.float32 and not torch.compiler.is_compiling() and numba_on():
        from kantor.ot.compiled import plans

        return plans(cost, a, b, f, g, epsilon)
    n, m = cost.shape[-2:]
    plan = cost.new_empty(*a.shape[:-1], n, m)
    # Some rows at a time: what is in float64 stays small beside the plan, and in a CPU's cache.
    budget = 2**26 if cost.is_cuda else 2**17
    rows = max(1, budget // max(1, plan.numel() // n))
    most = 80.0 if cost.dtype == torch.float32 else 700.0
    for i in range(0, n, rows):
        at = slice(i, i + rows)
        # In float32 the differences alone would put a floor of 1e-4 (at epsilon 1e-4) under the plan's error. Where
        # both masses are zero nothing bounds the exponent, and infinity times zero is no zero.
        exponents = torch.sub(f[..., at].unsqueeze(-1) + g.unsqueeze(-2), cost[..., at, :]).div_(epsilon)
        part = exponents.clamp_(max=most).to(cost.dtype).exp_()
        plan[..., at, :] = part.mul_(a[..., at].unsqueeze(-1)).mul_(b.unsqueeze(-2))
    return plan


class _EntropicValue(torch.autograd.Function):
    """The dual objective at the potentials; saves potentials, and makes the plan anew for the backward."""

    @staticmethod
    def forward(ctx, cost, a, b, f, g, epsilon):  # type: ignore[override]
        ctx.save_for_backward(cost, a, b, f, g)
        ctx.epsilon = epsilon
        a, b = a.double(), b.double()
        total = a.sum(-1)
        # sum_ij a_i b_j (exp(.) - 1), whose first part is the plan's mass.
        return ((a * f).sum(-1) + (b * g).sum(-1) - epsilon * (total - total.square())).to(cost.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        cost, a, b, f, g = ctx.saved_tensors
        grad_cost = grad_a = grad_b = None
        if ctx.needs_input_grad[0]:
            grad_cost = weighted_plan(cost, a, b, f, g, ctx.epsilon, grad)
        weight = grad.unsqueeze(-1).double()
        excess = ctx.epsilon * (a.double().sum(-1, keepdim=True) - 1.0)
        if ctx.needs_input_grad[1]:
            grad_a = (weight * (f + excess)).to(a.dtype)
        if ctx.needs_input_grad[2]:
            grad_b = (weight * (g + excess)).to(b.dtype)
        return grad_cost, grad_a, grad_b, None, None, None


def weighted_plan(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    f: Tensor,
    g: Tensor,
    epsilon: float,
    weight: Tensor,
) -> Tensor:
    """``weight * plan``, summed over the problems that share one entry of the cost."""
    if a.shape[:-1] == cost.shape[:-2]:
        return plan_of(cost, a, b, f, g, epsilon).mul_(weight[..., None, None])
    # Problem by problem: the plans of a whole batch would be its size times the one cost they share.
    total = torch.zeros_like(cost)
    batch = a.shape[:-1]
    costs, totals = (
        cost.expand(*batch, *cost.shape[-2:]),
        total.expand(*batch, *cost.shape[-2:]),
    )
    for at in itertools.product(*map(range, batch)):
        totals[at].add_(plan_of(costs[at], a[at], b[at], f[at], g[at], epsilon).mul_(weight[at]))
    return total
