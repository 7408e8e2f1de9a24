"""Sinkhorn's algorithm in the log domain, in float64: slow, safe, and the reference for everything faster."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor.ot.kernel import Array
from kantor.ot.problem import Problem, check_positive
from kantor.ot.solver import Solver
from kantor.ot.transport import Potentials, Transport

# Entries of the largest temporary, so that a batch sharing one cost does not become a batch of costs.
_MAX_ENTRIES = 2**25


@dataclass(frozen=True)
class Sinkhorn(Solver):
    """Alternating log-domain updates, with epsilon-scaling from cold starts (Cuturi 2013; Schmitzer 2019).

    Args:
        epsilon: the regularisation, in the units of the cost.
        tol: L1 marginal error, over the total mass, at which a problem is done.
        max_iterations: sweeps (an update of both potentials) after which a problem is given up, unconverged.
    """

    epsilon: float = 0.05
    tol: float = 1e-3
    max_iterations: int = 10_000

    def __post_init__(self):
        check_positive("epsilon", self.epsilon)
        check_positive("tol", self.tol)
        check_positive("max_iterations", self.max_iterations)

    @torch.no_grad()
    def run(self, problem: Problem, potentials: Potentials | None) -> Transport:
        """Solve a checked problem."""
        n, m = problem.size
        cost = problem.cost.detach()
        cost = cost.unsqueeze(0) if problem.shared else cost.expand(*problem.batch, n, m).reshape(-1, n, m)
        total = problem.a.detach().double().sum(-1, keepdim=True).reshape(-1, 1)
        a = problem.a.detach().double().reshape(-1, n) / total
        b = problem.b.detach().double().reshape(-1, m)
        b = b / b.sum(-1, keepdim=True)
        start = None if potentials is None else potentials[1].reshape(-1, m)
        f, g = a.new_zeros(a.shape), b.new_zeros(b.shape)
        error, sweeps = (
            a.new_zeros(len(a)),
            torch.zeros(len(a), dtype=torch.int64, device=a.device),
        )
        step = max(1, _MAX_ENTRIES // (n * m))
        for k in range(0, len(a), step):
            part = slice(k, k + step)
            f[part], g[part], error[part], sweeps[part] = log_domain(
                cost if len(cost) == 1 else cost[part],
                a[part],
                b[part],
                self.epsilon,
                self.tol,
                self.max_iterations,
                g=None if start is None else start[part],
                spread=problem.highest - problem.lowest,
            )
        return transport_of(problem, self.epsilon, self.tol, f, g, a, b, total, error, sweeps)


def transport_of(
    problem: Problem,
    epsilon: float,
    tol: float,
    f: Array,
    g: Array,
    a: Array,
    b: Array,
    total: Array,
    error: Array | float,
    sweeps: Array | int,
) -> Transport:
    """The transport of float64 potentials, found for masses ``a`` and ``b`` that are shares of ``total``.

    Everything is NumPy's or everything is torch's, with the problem's leading dimensions flattened where there are any:
    ``f`` and ``a`` are ``[problems, n]`` or ``[n]``, and ``total`` is ``[problems, 1]`` or ``[1]``.
    """
    # P = a b exp(.) is quadratic in the masses, so undoing their scaling moves the potentials; then both sides are
    # given half of the dual value, which fixes the free constant.
    xp: Any = np if isinstance(total, np.ndarray) else torch
    vecdot = xp.vecdot if xp is np else xp.linalg.vecdot
    shift = (vecdot(a, f) - vecdot(b, g))[..., None] / 2
    move = (epsilon / 2) * xp.log(total)
    # A mass so small that its scaling vanished leaves a potential that nobody may call converged.
    done = (error <= tol) & xp.isfinite(f.sum(-1) + g.sum(-1))
    found = (f - (shift + move), g + (shift - move), error, sweeps, done)
    tensors = [x if isinstance(x, Tensor) else torch.from_numpy(np.asarray(x)) for x in found]
    batch = problem.batch
    if len(batch) != f.ndim - 1 or len(batch) > 1:
        n, m = problem.size
        shapes = ((*batch, n), (*batch, m), batch, batch, batch)
        tensors = [x.reshape(shape) for x, shape in zip(tensors, shapes, strict=True)]
    return Transport(problem, epsilon, (tensors[0], tensors[1]), *tensors[2:])


def log_domain(
    cost: Float[Tensor, "#problems n m"],
    a: Float[Tensor, "problems n"],
    b: Float[Tensor, "problems m"],
    epsilon: float,
    tol: float,
    max_iterations: int,
    g: Float[Tensor, "problems m"] | None = None,
    spread: float = 0.0,
) -> tuple[
    Float[Tensor, "problems n"],
    Float[Tensor, "problems m"],
    Float[Tensor, " problems"],
    Int[Tensor, " problems"],
]:
    """Potentials, L1 marginal errors and sweeps, for float64 masses of total 1.

    Without a start ``g``, epsilon is halved from the cost's ``spread`` down, a few sweeps each. The column marginals
    of what is returned are exact; the error is the rows'.
    """
    cost, log_a, log_b = cost.double(), a.log(), b.log()
    sweeps = torch.zeros(len(a), dtype=torch.int64, device=a.device)
    if g is None:
        g = torch.zeros_like(b)
        level, last = spread / 4, 0
        while level > 2 * epsilon and last < max_iterations // 2:
            for _ in range(4):
                f = _row_update(cost, g, log_b, level)
                g = _column_update(cost, f, log_a, level)
            level, last = level / 2, last + 4
        sweeps += last
    f = _row_update(cost, g, log_b, epsilon)
    out_f, out_g, out_error = (
        torch.empty_like(a),
        torch.empty_like(b),
        torch.empty_like(a[:, 0]),
    )
    active = torch.arange(len(a), device=a.device)
    while True:
        g = _column_update(cost, f, log_a, epsilon)
        next_f = _row_update(cost, g, log_b, epsilon)
        sweeps[active] += 1
        error = (a * ((f - next_f) / epsilon).exp() - a).abs().sum(-1)
        done = (error <= tol) | (sweeps[active] >= max_iterations)
        if done.any():
            which = active[done]
            out_f[which], out_g[which], out_error[which] = f[done], g[done], error[done]
            keep = ~done
            active, next_f, a, log_a, log_b = (
                active[keep],
                next_f[keep],
                a[keep],
                log_a[keep],
                log_b[keep],
            )
            cost = cost if len(cost) == 1 else cost[keep]
            if len(active) == 0:
                return out_f, out_g, out_error, sweeps
        f = next_f


def _row_update(cost: Tensor, g: Tensor, log_b: Tensor, epsilon: float) -> Tensor:
    return -epsilon * torch.logsumexp((g / epsilon + log_b).unsqueeze(-2) - cost / epsilon, dim=-1)


def _column_update(cost: Tensor, f: Tensor, log_a: Tensor, epsilon: float) -> Tensor:
    return -epsilon * torch.logsumexp((f / epsilon + log_a).unsqueeze(-1) - cost / epsilon, dim=-2)
