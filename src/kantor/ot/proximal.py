"""IPOT: unregularised transport by inexact proximal steps (Xie et al., UAI 2019, arXiv 1802.04307)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.ot.problem import Problem, check_positive
from kantor.ot.solver import Solver
from kantor.ot.transport import Potentials, Transport


@dataclass(frozen=True)
class Proximal(Solver):
    """``P <- argmin <P, C> + beta KL(P | P_before)``, each step solved by a few scalings that start from the last.

    The paper's algorithm 1, as printed where its numbers stay in range and else in logarithms, so that a small beta
    cannot underflow. With ``inner = 1`` the plan
    after t steps is close to a Sinkhorn plan at ``beta / t``; it tends to the exact one.

    Args:
        beta: the proximal step, in the units of the cost (for a cost of mean 1, .1 to .5).
        steps: proximal steps. The paper does not state when to stop; 50 is what OT-Seq2Seq's code uses.
        inner: scalings per step; the paper uses 1.
        tol: marginal error, over the total mass, that ``converged`` is judged by. How far the plan is from the
            optimum is not part of it.
    """

    beta: float = 0.5
    steps: int = 50
    inner: int = 1
    tol: float = 1e-2

    def __post_init__(self):
        for name in ("beta", "steps", "inner", "tol"):
            check_positive(name, getattr(self, name))

    @torch.no_grad()
    def run(self, problem: Problem, potentials: Potentials | None) -> Transport:  # noqa: ARG002
        """Solve a checked problem; each run starts from the product plan."""
        n, m = problem.size
        cost = problem.cost.detach().expand(*problem.batch, n, m)
        a, b = problem.a.detach(), problem.b.detach()
        plan = self._plan(cost, a, b)
        total = a.double().sum(-1)
        error = (plan.sum(-1) - a).abs().sum(-1).double() + (plan.sum(-2) - b).abs().sum(-1).double()
        error = error / total
        return Transport(
            problem,
            None,
            None,
            error,
            torch.full(
                problem.batch,
                self.steps * self.inner,
                dtype=torch.int64,
                device=cost.device,
            ),
            error <= self.tol,
            given_plan=plan,
        )

    def _plan(
        self,
        cost: Float[Tensor, "*batch n m"],
        a: Float[Tensor, "*batch n"],
        b: Float[Tensor, "*batch m"],
    ) -> Float[Tensor, "*batch n m"]:
        total = a.sum(-1, keepdim=True)
        a, b = a / total, b / total
        # Only differences along a row or column matter; taking the least out keeps the logarithms small.
        step = (cost - cost.amin(dim=-1, keepdim=True)) / self.beta
        plan = self._by_products(step, a, b)
        # Columns are scaled last, so theirs is the mass that shows an underflow; a row that vanished shows itself.
        lost = (plan.sum(-2) - b).abs().sum(-1) + ((plan.sum(-1) == 0) & (a > 0)).sum(-1)
        if not bool((lost < 1e-4).all()):  # NaN, too, is not less
            plan = self._by_logarithms(step, a, b)
        return plan * total.unsqueeze(-1)

    def _by_products(
        self, step: Float[Tensor, "*batch n m"], a: Float[Tensor, "*batch n"], b: Float[Tensor, "*batch m"]
    ) -> Float[Tensor, "*batch n m"]:
        """As printed: five passes over the plan a step. Ten times as fast as logarithms."""
        tiny = torch.finfo(step.dtype).tiny  # divides a mass of zero
        kernel = (-step).exp()
        plan = torch.ones_like(kernel)
        u, v = a.unsqueeze(-1), torch.ones_like(b).unsqueeze(-2)
        rows, columns = a.unsqueeze(-1), b.unsqueeze(-2)
        for _ in range(self.steps):
            plan *= kernel
            for _ in range(self.inner):
                u = rows / (plan @ v.mT).clamp_min(tiny)
                v = columns / (u.mT @ plan).clamp_min(tiny)
            plan *= u
            plan *= v
        return plan

    def _by_logarithms(
        self, step: Float[Tensor, "*batch n m"], a: Float[Tensor, "*batch n"], b: Float[Tensor, "*batch m"]
    ) -> Float[Tensor, "*batch n m"]:
        # exp(-1e4) is zero like the mass, and unlike its logarithm can be subtracted from itself.
        log_a, log_b = a.log().clamp_min(-1e4), b.log().clamp_min(-1e4)
        log_plan = -step
        log_u, log_v = torch.zeros_like(log_a), torch.zeros_like(log_b)
        for k in range(self.steps):
            if k:
                log_plan -= step
            for _ in range(self.inner):
                log_u = log_a - torch.logsumexp(log_plan + log_v.unsqueeze(-2), dim=-1)
                log_v = log_b - torch.logsumexp(log_plan + log_u.unsqueeze(-1), dim=-2)
            log_plan += log_u.unsqueeze(-1)
            log_plan += log_v.unsqueeze(-2)
        return log_plan.exp_()
