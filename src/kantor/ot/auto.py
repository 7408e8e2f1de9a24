"""The solver that chooses by itself."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kantor.ot.batch import Batch
from kantor.ot.kernel import (
    BLOCK_ACCELERATOR,
    FLOAT32_NOISE,
    Array,
    may_hide,
    numba_on,
    plan_error,
    plan_errors,
    triton_on,
)
from kantor.ot.precision import no_autocast
from kantor.ot.problem import Problem, check_positive
from kantor.ot.single import Single
from kantor.ot.sinkhorn import log_domain, transport_of
from kantor.ot.solver import Solver
from kantor.ot.transport import Potentials, Transport

# On the CPU lock step saves calls but keeps every problem waiting for the hardest: worth it for many small ones.
_LOCK_STEP_FROM, _LOCK_STEP_ENTRIES = 16, 2**17


@dataclass(frozen=True)
class Auto(Solver):
    """Kernel-domain sweeps and Newton steps, chosen by observed rates; float64 and the log domain where they fail.

    Args:
        epsilon: the regularisation, in the units of the cost.
        tol: L1 marginal error, over the total mass, at which a problem is done. Below 1e-6 kernels are in float64.
        max_iterations: passes over the kernel, per level, after which a way is given up for the next slower one:
            compiled sweeps for Newton steps by calls, float32 for float64, and that for the log domain, which has as
            many again before a problem is returned unconverged.
    """

    epsilon: float = 0.05
    tol: float = 1e-3
    max_iterations: int = 2_000

    def __post_init__(self):
        for name in ("epsilon", "tol", "max_iterations"):
            check_positive(name, getattr(self, name))

    def run(self, problem: Problem, potentials: Potentials | None) -> Transport:
        """Solve a checked problem."""
        fuses = (
            problem.cost.device.type == "cpu" and not problem.shared and self.tol >= 2 * FLOAT32_NOISE and numba_on()
        )
        return self._fused(problem, potentials) if fuses else self._by_calls(problem, potentials)

    def _fused(self, problem: Problem, potentials: Potentials | None) -> Transport:
        """By what is compiled; what needs Newton steps, or more than float32, goes on from there by calls."""
        from kantor.ot.fused import solve_fused

        transport = solve_fused(problem, self.epsilon, self.tol, self.max_iterations, potentials)
        found = transport.potentials
        assert found is not None
        # From where it has come to; then, since that may be a poor place to start, as if nothing had been tried.
        for start in (found, None):
            if transport.converged.numpy().all():
                break
            which = ~transport.converged
            rest = _part(problem, which)
            if start is not None:
                start = found[0][which], found[1][which]
                if not all(x.isfinite().all() for x in start):
                    start = None if potentials is None else (potentials[0][which], potentials[1][which])
            slower = self._by_calls(rest, start)
            transport.iterations[which] += slower.iterations
            better = slower.marginal_error < transport.marginal_error[which]
            improved = which.masked_scatter(which, better)
            for ours, part in zip(_found(transport), _found(slower), strict=True):
                ours[improved] = part[better]
        return transport

    def _by_calls(self, problem: Problem, potentials: Potentials | None) -> Transport:
        n, m = problem.size
        device = problem.cost.device
        cost = problem.cost.detach()
        if device.type == "cpu" and not problem.batch:
            (a, total), (b, _) = _shares(problem.a.detach().numpy()), _shares(problem.b.detach().numpy())
            one = _Job(self, problem).solve_one(
                cost.numpy(), a, b, None if potentials is None else potentials[1].numpy()
            )
            return transport_of(problem, self.epsilon, self.tol, *one[:2], a, b, total, *one[2:])
        cost = cost[None] if cost.ndim == 2 else cost.expand(*problem.batch, n, m).reshape(-1, n, m)
        g = None if potentials is None else potentials[1].reshape(-1, m)
        job, masses = _Job(self, problem), (problem.a, problem.b)
        if device.type == "cpu":
            (a, total), (b, _) = (_shares(mass.detach().numpy().reshape(-1, mass.shape[-1])) for mass in masses)
            found = job.solve_on_cpu(cost.numpy(), a, b, None if g is None else g.numpy())
        else:
            (a, total), (b, _) = (_shares(mass.detach().reshape(-1, mass.shape[-1])) for mass in masses)
            with torch.no_grad(), no_autocast(device):
                found = job.solve_on_accelerator(cost, a, b, g)
        return transport_of(problem, self.epsilon, self.tol, *found[:2], a, b, total, *found[2:])


def _part(problem: Problem, which: Tensor) -> Problem:
    """The problems of a batch where ``which`` is True."""
    (n, m), batch = problem.size, problem.batch
    cost = problem.cost.detach().expand(*batch, n, m)[which]
    return replace(problem, cost=cost, a=problem.a[which], b=problem.b[which])


def _found(transport: Transport) -> tuple[Tensor, ...]:
    assert transport.potentials is not None
    return (*transport.potentials, transport.marginal_error, transport.converged)


def _shares(mass: Array) -> tuple[Array, Array]:
    """Masses ``[..., n]`` as float64 shares of their totals ``[..., 1]``, and these."""
    if isinstance(mass, np.ndarray):
        total = mass.sum(-1, dtype=np.float64, keepdims=True)
    else:
        total = mass.sum(-1, dtype=torch.float64, keepdim=True)
    return mass / total, total


class _Job:
    """Solves flattened problems and, for those a faster way cannot bring to ``tol``, tries the next slower one."""

    def __init__(self, settings: Auto, problem: Problem):
        self.epsilon, self.tol, self.budget = (
            settings.epsilon,
            settings.tol,
            settings.max_iterations,
        )
        self.bounds = (problem.lowest, problem.highest)

    def _first_dtype(self, xp: Any) -> Any:
        return xp.float32 if self.tol >= 2 * FLOAT32_NOISE else xp.float64

    def solve_on_cpu(
        self, cost: np.ndarray, a: np.ndarray, b: np.ndarray, g: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        dtype = self._first_dtype(np)
        problems, (n, m) = len(a), cost.shape[1:]
        if (len(cost) == 1 and problems > 1) or (problems >= _LOCK_STEP_FROM and n * m < _LOCK_STEP_ENTRIES):
            batch = Batch(np, cost, a, b, self.tol, self.budget, self.bounds, dtype)
            batch.solve(self.epsilon, g)
            f, g_out, error, passes = batch.f, batch.g, batch.error, batch.passes
            if batch.may_hide or may_hide(a, b, self.tol):
                error = self._seen_whole(cost, a, b, f, g_out, error)
        else:
            f, g_out = np.empty_like(a), np.empty_like(b)
            error, passes = np.full(problems, np.inf), np.zeros(problems, np.int64)
            for k in range(problems):
                start = None if g is None else g[k]
                f[k], g_out[k], error[k], passes[k] = self.solve_one(cost[k if len(cost) > 1 else 0], a[k], b[k], start)
            return f, g_out, error, passes
        for k in np.flatnonzero(~(error <= self.tol)):
            start = g_out[k] if error[k] < 100 * self.tol else None
            f[k], g_out[k], error[k], more = self._rescue(cost[k if len(cost) > 1 else 0], a[k], b[k], start, dtype)
            passes[k] += more
        return f, g_out, error, passes.astype(np.int64)

    def _seen_whole(
        self, cost: np.ndarray, a: np.ndarray, b: np.ndarray, f: np.ndarray, g: np.ndarray, error: np.ndarray
    ) -> np.ndarray:
        """The errors with what clamped entries may have hidden from them."""
        seen = np.full_like(error, np.inf)
        done = np.flatnonzero(error <= self.tol)
        if len(cost) == 1 and len(done):
            at = slice(None) if len(done) == len(a) else done
            seen[at] = plan_errors(cost[0], a[at], b[at], f[at], g[at], self.epsilon)
        for k in done[~(seen[done] <= self.tol)]:
            seen[k] = plan_error(np, cost[k if len(cost) > 1 else 0], a[k], b[k], f[k], g[k], self.epsilon)
        return np.where(error <= self.tol, np.maximum(error, seen), error)

    def solve_one(
        self, cost: np.ndarray, a: np.ndarray, b: np.ndarray, start: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, float, int]:
        """One problem on the CPU, ``[n, m]``."""
        dtype = self._first_dtype(np)
        f, g, error, passes = self._one(cost, a, b, start, dtype)
        if error <= self.tol:
            return f, g, error, passes
        f, g, error, more = self._rescue(cost, a, b, g if error < 100 * self.tol else None, dtype)
        return f, g, error, passes + more

    def _one(
        self,
        cost: np.ndarray,
        a: np.ndarray,
        b: np.ndarray,
        start: np.ndarray | None,
        dtype: Any,
    ) -> tuple[np.ndarray, np.ndarray, float, int]:
        single = Single(cost, a, b, self.tol, self.budget, self.bounds, dtype)
        f, g = single.solve(self.epsilon, start)
        return f, g, single.error, single.passes

    def _rescue(
        self,
        cost: np.ndarray,
        a: np.ndarray,
        b: np.ndarray,
        g: np.ndarray | None,
        tried: Any,
    ) -> tuple[np.ndarray, np.ndarray, float, int]:
        """A problem that failed in the given dtype: in float64, from ``g`` if that is close; then in the log domain."""
        passes = 0
        if tried is np.float32 or g is None:
            f, g, error, passes = self._one(cost, a, b, g, np.float64)
            if error <= self.tol:
                return f, g, error, passes
            g = g if error < 0.1 else None
        start = None if g is None else torch.from_numpy(g)[None]
        cost_tensor, a_tensor, b_tensor = (torch.from_numpy(x)[None] for x in (cost, a, b))
        found = self._log_domain(cost_tensor, a_tensor, b_tensor, start)
        return found[0][0].numpy(), found[1][0].numpy(), found[2].item(), passes + int(found[3].item())

    def _log_domain(
        self, cost: Tensor, a: Tensor, b: Tensor, start: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        spread = self.bounds[1] - self.bounds[0]
        return log_domain(cost, a, b, self.epsilon, self.tol, self.budget, start, spread)

    def solve_on_accelerator(
        self, cost: Tensor, a: Tensor, b: Tensor, g: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dtype = self._first_dtype(torch)
        n, m = cost.shape[1:]
        ways = ["newton", "float64", "log domain"]
        if triton_on(cost.device) and dtype == torch.float32 and max(n, m) <= 256 and len(cost) == len(a):
            from kantor.ot.gpu_small import solve_small

            f, g_out, error, passes = solve_small(cost, a, b, self.epsilon, self.tol, g)
            if may_hide(a, b, self.tol):
                error = self._seen_on_accelerator(cost, a, b, f, g_out, error)
        else:
            f, g_out, error, passes = self._batch(cost, a, b, g, dtype)
            ways.remove("newton")
        for way in ways:
            failed = torch.nonzero(~(error <= self.tol))[:, 0]
            if len(failed) == 0:
                break
            matrix = cost if len(cost) == len(a) == 1 else cost.expand(len(a), -1, -1)[failed]
            if way != "log domain":
                slower = torch.float32 if way == "newton" else torch.float64
                found = self._batch(matrix, a[failed], b[failed], None, slower)
            else:
                start = torch.where(g_out.isfinite(), g_out, 0.0)[failed]
                found = self._log_domain(matrix, a[failed], b[failed], start)
            f[failed], g_out[failed], error[failed] = found[:3]
            passes[failed] += found[3]
        return f, g_out, error, passes

    def _batch(
        self, cost: Tensor, a: Tensor, b: Tensor, g: Tensor | None, dtype: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch = Batch(torch, cost, a, b, self.tol, self.budget, self.bounds, dtype)
        batch.solve(self.epsilon, g)
        error = batch.error
        if batch.may_hide or may_hide(a, b, self.tol):
            error = self._seen_on_accelerator(cost, a, b, batch.f, batch.g, error)
        return batch.f, batch.g, error, batch.passes.long()

    def _seen_on_accelerator(self, cost: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, error: Tensor) -> Tensor:
        """``_seen_whole`` on an accelerator, so many problems at a time as their plans find room."""
        step = max(1, BLOCK_ACCELERATOR // cost[0].numel())
        seen = torch.empty_like(error)
        for k in range(0, len(a), step):
            part = slice(k, k + step)
            matrix = cost if len(cost) == 1 else cost[part]
            seen[part] = plan_error(torch, matrix, a[part], b[part], f[part], g[part], self.epsilon)
        return torch.where(error <= self.tol, torch.maximum(error, seen), error)
