"""Many problems at once, in lock step: NumPy on the CPU, torch on an accelerator.

Sweeps where they are fast, Newton steps where they are not, as for a single problem; finished problems drop out.
"""

import math
from types import ModuleType
from typing import Any

import numpy as np

from kantor.ot.kernel import GROWTH, Array, Kernel, cast
from kantor.ot.newton import gradients
from kantor.ot.rates import FAILS, GAIN, NEWTON_FROM, STEP_LIMIT, stage_tol, stages

# Dropping finished problems copies the kernels of the others; it is done once this share has finished.
_COMPACT = 0.25
# Newton steps wait until this share of the unfinished problems wants them.
_QUORUM = 0.5
# How far scalings may go where a kernel serves many problems and cannot be absorbed for one.
_SHARED_GROWTH = 1e18


class Batch:
    """Kernel-domain solution of ``[problems, n, m]``, or of many masses on one cost ``[1, n, m]``.

    As in ``Single`` the plan is ``ua K wb`` with exact rows; every array has a leading problems dimension.
    """

    def __init__(
        self,
        xp: ModuleType,
        cost: Array,
        a: Array,
        b: Array,
        tol: float,
        budget: int,
        bounds: tuple[float, float],
        dtype: Any,
    ):
        self.xp, self.cost, self.tol, self.budget, self.bounds, self.dtype = (
            xp,
            cost,
            tol,
            budget,
            bounds,
            dtype,
        )
        self.masses = cast(xp, a, dtype), cast(xp, b, dtype)
        self.shared = len(cost) != len(a)
        self.f, self.g = xp.zeros_like(a), xp.zeros_like(b)
        self.error = xp.zeros_like(a[:, 0]) + math.inf
        self.passes = xp.zeros_like(a[:, 0])
        self.everyone = np.arange(len(a)) if xp is np else xp.arange(len(a), device=a.device)

    def solve(self, epsilon: float, start: Array | None) -> None:
        """Leaves float64 potentials in ``f`` and ``g``, and ``error`` and ``passes`` for every problem."""
        spread = self.bounds[1] - self.bounds[0]
        schedule = stages(epsilon, spread) if start is None and not self.shared else [epsilon]
        f, g = self._first_potentials(schedule[0], start)
        with np.errstate(all="ignore"):
            for stage in schedule:
                last = stage is schedule[-1]
                self.kernel = Kernel(self.xp, self.cost, self.dtype, self.tol, self.bounds)
                self.kernel.absorb(f, g, stage)
                self._begin()
                self._stage(self.tol if last else stage_tol(schedule, self.tol))
                f, g = self.f, self.g
                if not last and not bool(self.xp.isfinite(f).all() & self.xp.isfinite(g).all()):
                    self.error[:] = math.inf
                    return

    def _first_potentials(self, epsilon: float, start: Array | None) -> tuple[Array, Array]:
        xp, cost = self.xp, self.cost
        low, high = self.bounds
        f = cast(xp, xp.zeros_like(cost[:, :, 0]), xp.float64)
        g = cast(xp, xp.zeros_like(cost[:, 0, :]), xp.float64)
        if start is not None and not self.shared:
            g = start
            return cast(xp, xp.amin(cost - cast(xp, g, cost.dtype)[:, None, :], -1), xp.float64), g
        if max(abs(low), abs(high)) / epsilon > 60.0:
            f += low
        if (high - low) / epsilon > 60.0:
            f = cast(xp, xp.amin(cost, -1), xp.float64)
            g = cast(xp, xp.amin(cost - cast(xp, f, cost.dtype)[:, :, None], -2), xp.float64)
        return f, g

    def _begin(self) -> None:
        self.index = self.everyone
        self.a, self.b = self.masses
        self.finished = self.index < 0
        self.reach = self.xp.zeros_like(self.a[:, 0]) + STEP_LIMIT
        self.passes += 1
        self._set(self.b)

    def _set(self, wb: Array) -> None:
        self.wb = wb
        self.kv, self.ua, self.columns = self.kernel.both(wb, self.a)
        self.sums = wb * self.columns
        self.now = abs(self.sums - self.b).sum(-1) + self.kernel.noise

    def _stage(self, tol: float) -> None:
        xp = self.xp
        before: Array | None = None
        patience = xp.zeros_like(self.now) + 1
        fails = xp.zeros_like(self.now)
        spent, next_look = 0, 1
        while True:
            done = (self.now <= tol) & ~self.finished
            broken = ~xp.isfinite(self.now) & ~self.finished
            if spent >= next_look or bool((done | broken).any()):
                next_look = spent + 8
                wandered = self._wandered() & ~self.finished
                if bool(wandered.any()) and spent < self.budget:
                    if self.shared:
                        # One kernel cannot follow one problem; that one is left to be solved alone.
                        broken = broken | wandered
                        self.now = xp.where(broken, math.inf, self.now)
                        done = done & ~broken
                    else:
                        self._absorb(broken)
                        spent, before, next_look = spent + 2, None, spent + 3
                        continue
                leaving = (done | broken | (fails >= FAILS) | (spent >= self.budget)) & ~self.finished
                if bool(leaving.any()):
                    self._record(leaving)
                    self.finished = self.finished | leaving
                    left = len(self.finished) - int(self.finished.sum())
                    if left == 0:
                        return
                    if left <= (1 - _COMPACT) * len(self.finished):
                        stay = ~self.finished
                        before = None if before is None else before[stay]
                        patience, fails = patience[stay], fails[stay]
                        self._keep(stay)
            wants, iterations = self._newton_wanted(before, patience, tol)
            if iterations:
                better, passes = self._newton(wants, iterations, tol)
                fails = xp.where(better, 0.0, fails + wants)
                patience = xp.where(wants, 2.0**fails, patience)
                before, spent, next_look = None, spent + passes, spent + passes
            else:
                before, patience = self.now, patience - 1
                self._set(self.b / self.columns)
                self.passes[self.index] += ~self.finished
                spent += 1

    def _newton_wanted(self, before: Array | None, patience: Array, tol: float) -> tuple[Array, float]:
        """The problems for which Newton steps beat sweeps, and how many iterations the hardest needs (0: sweep)."""
        if before is None:
            return self.finished, 0.0
        xp = self.xp
        rate = (self.now / before).clip(1e-3, 1 - 1e-7)
        left = xp.log(tol / self.now) / xp.log(rate)
        root = (1 - rate) ** -0.5
        wants = (left > 1.5 * (3 + 2.5 * root)) & (self.now < NEWTON_FROM) & (patience <= 0) & ~self.finished
        active = len(self.finished) - int(self.finished.sum())
        if int(wants.sum()) < _QUORUM * active:
            return wants, 0.0
        return wants, 1.5 * float(root[wants].max())

    def _newton(self, wants: Array, iterations: float, tol: float) -> tuple[Array, int]:
        """A guarded Newton step for these problems. Returns which gained by it, and the passes it took."""
        xp = self.xp
        whole = int(wants.sum()) > 0.7 * len(wants)
        which = self.everyone[: len(wants)] if whole else xp.where(wants)[0]
        part = self.kernel if whole else self.kernel.subset(which)
        ua, a, wb, sums, b, error = (
            x if whole else x[which] for x in (self.ua, self.a, self.wb, self.sums, self.b, self.now)
        )
        goal = (error * error.clip(0.01, 0.1)).clip(0.3 * (tol - self.kernel.noise))[:, None]
        if whole:
            goal = xp.where(wants[:, None], goal, math.inf)
        step, passes = gradients(part, ua, a, wb, sums, b, goal, int(min(400, 20 + 3 * iterations)))
        step = step - step.mean(-1)[:, None]
        reach = self.reach[which][:, None]
        length = reach / xp.maximum(xp.amax(abs(step), -1)[:, None], reach)
        step = step * length
        if whole:
            step = xp.where(wants[:, None], step, 0.0)
        trial = wb * xp.exp(step)
        kv = part.rows(trial)
        found = abs(trial * part.columns(a / kv) - b).sum(-1) + self.kernel.noise
        # As for a single problem: far from the optimum the dual's rise says whether a step was good.
        slope = (step * (b - sums)).sum(-1)
        rise = (step * b).sum(-1) - (a * xp.log(kv / self.kv[which])).sum(-1)
        good = (found < GAIN * error) | ((rise > 0.1 * slope) & (rise > 4 * self.kernel.noise + 1e-12))
        good = good & wants[which]
        self.reach[which] = xp.where(good, (2 * reach[:, 0]).clip(0, STEP_LIMIT), reach[:, 0] / 4)
        gained = xp.zeros_like(wants)
        gained[which] = good
        new = self.wb + 0
        new[which] = xp.where(good[:, None], trial, wb)
        self._set(new)
        self.passes[self.index[wants]] += passes + 2
        return gained, passes + 2

    def _column_scalings(self) -> Array:
        # A column without mass follows from the others, by the c-transform.
        held = self.b > 0
        return self.xp.where(held, self.wb / self.xp.where(held, self.b, 1.0), 1.0 / self.columns)

    def _wandered(self) -> Array:
        xp, limit = self.xp, _SHARED_GROWTH if self.shared else GROWTH
        w = self._column_scalings()
        high = xp.maximum(xp.amax(w, -1), 1.0 / xp.amin(self.kv, -1))
        low = xp.minimum(xp.amin(w, -1), 1.0 / xp.amax(self.kv, -1))
        return ~((high < limit) & (low > 1 / limit))

    def _potentials(self) -> tuple[Array, Array]:
        xp, kernel = self.xp, self.kernel
        f = kernel.f - kernel.epsilon * xp.log(cast(xp, self.kv, xp.float64))
        return f, kernel.g + kernel.epsilon * xp.log(cast(xp, self._column_scalings(), xp.float64))

    def _absorb(self, broken: Array) -> None:
        """Move the scalings into the potentials, for all; a broken problem keeps the ones it had, and stays broken."""
        xp = self.xp
        f, g = self._potentials()
        fine = (xp.isfinite(f).all(-1) & xp.isfinite(g).all(-1) & ~broken)[:, None]
        self.kernel.absorb(
            xp.where(fine, f, self.kernel.f),
            xp.where(fine, g, self.kernel.g),
            self.kernel.epsilon,
        )
        self._set(self.b)
        self.passes[self.index] += 2 * ~self.finished
        lost = ~fine[:, 0] & ~self.finished
        if bool(lost.any()):
            self.now = xp.where(lost, math.inf, self.now)
            self._record(lost)
            self.finished = self.finished | lost

    def _record(self, leaving: Array) -> None:
        f, g = self._potentials()
        where = self.index[leaving]
        self.f[where], self.g[where] = f[leaving], g[leaving]
        self.error[where] = cast(self.xp, self.now, self.xp.float64)[leaving]

    def _keep(self, which: Array) -> None:
        self.kernel.keep(which)
        for name in (
            "index",
            "a",
            "b",
            "finished",
            "wb",
            "kv",
            "ua",
            "columns",
            "sums",
            "now",
        ):
            setattr(self, name, getattr(self, name)[which])
