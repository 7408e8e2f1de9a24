"""Many problems at once, in lock step: NumPy on the CPU, torch on an accelerator.

Sweeps where they are fast, Newton steps where they are not, as for a single problem; finished problems drop out.
"""

import math
from types import ModuleType
from typing import Any

import numpy as np

from kantor.ot.anderson import ASTRAY, Anderson
from kantor.ot.kernel import GROWTH, Array, Kernel, cast
from kantor.ot.newton import gradients, newton_by_factors
from kantor.ot.rates import (
    DAMPING,
    FAILS,
    GAIN,
    MIXED_MOST,
    NEWTON_FROM,
    STEP_LIMIT,
    WINDOW,
    epsilon_levels,
    factor_worth,
    level_tol,
    mixing_from,
    newton_from,
)

# Looking at problems one by one, and copying the kernels of those that stay, waits until this share has finished.
_COMPACT = 0.25
# Newton steps wait until this share of the unfinished problems wants them.
_QUORUM = 0.25
# Mixed sweeps left, from which a problem joins a Newton step that is made anyway.
_JOIN = 10.0
# How far scalings may go where a kernel serves many problems and cannot be absorbed for one.
_SHARED_GROWTH = 1e18
# And, as a logarithm, from where one begins there.
_START_REACH = 35.0


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
        self.masses = cast(xp, a, dtype), cast(xp, b, dtype), b
        self.shared = len(cost) != len(a)
        self.f, self.g = xp.zeros_like(a), xp.zeros_like(b)
        self.error = xp.zeros_like(a[:, 0]) + math.inf
        self.passes = xp.zeros_like(a[:, 0])
        self.everyone = np.arange(len(a)) if xp is np else xp.arange(len(a), device=a.device)

    def solve(self, epsilon: float, start: Array | None) -> None:
        """Leaves float64 potentials in ``f`` and ``g``, and ``error`` and ``passes`` for every problem."""
        spread = self.bounds[1] - self.bounds[0]
        schedule = epsilon_levels(epsilon, spread) if start is None and not self.shared else [epsilon]
        f, g = self._first_potentials(schedule[0], start)
        with np.errstate(all="ignore"):
            for level in schedule:
                last = level is schedule[-1]
                tol = self.tol if last else level_tol(schedule, self.tol)
                self.kernel = Kernel(self.xp, self.cost, self.dtype, tol, self.bounds)
                self.kernel.absorb(f, g, level)
                self._begin(start if self.shared else None)
                self._stage(tol)
                f, g = self.f, self.g
                if not last and not bool(self.xp.isfinite(f).all() & self.xp.isfinite(g).all()):
                    self.error[:] = math.inf
                    return

    @property
    def may_hide(self) -> bool:
        """Whether what is clamped may matter in the plan and not show in the marginals: ask ``plan_errors``.

        Scalings over a kernel that many problems share go further than one that is absorbed lets them.
        """
        return self.shared and self.kernel.clamped

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

    def _begin(self, start: Array | None) -> None:
        self.index = self.everyone
        self.a, self.b, self.shares = self.masses
        self.finished = self.index < 0
        self.no_empty = bool((self.b > 0).all())
        self.reach = self.xp.zeros_like(self.a[:, 0]) + STEP_LIMIT
        self.mixer: Anderson | None = None
        # Logarithms of the column scalings, where the last sweep was mixed.
        self.logs: Array | None = None
        self._set(self.b if start is None else self._from(start))
        self.passes += 1

    def _from(self, start: Array) -> Array:
        """The column scalings (over masses) of potentials to start from, where one kernel serves all problems."""
        xp = self.xp
        logs = (start - self.kernel.g) / self.kernel.epsilon
        logs = logs - logs.mean(-1)[:, None]
        near = xp.amax(abs(logs), -1)[:, None] < _START_REACH
        return self.b * cast(xp, xp.exp(xp.where(near, logs, 0.0)), self.dtype)

    def _set(self, wb: Array) -> None:
        """Take column scalings (over masses) ``wb``; make the rows exact and measure the columns."""
        self.wb = wb
        self.kv, self.ua, self.columns = self.kernel.both(wb, self.a)
        self.sums = wb * self.columns
        self.now = abs(self.sums - self.b).sum(-1) + self.kernel.noise

    def _stage(self, tol: float) -> None:
        xp = self.xp
        zero = xp.zeros_like(self.now)
        # What every problem's error was before each of the last sweeps, oldest first.
        self.window = [zero + math.inf] * WINDOW
        self.slow, self.patience, self.fails = self.finished, zero + 1, zero
        spent, next_look = 0, 1
        while True:
            done = (self.now <= tol) & ~self.finished
            broken = ~xp.isfinite(self.now) & ~self.finished
            ended = int((done | broken).sum())
            if spent >= next_look or ended >= _COMPACT * (len(done) - int(self.finished.sum())):
                next_look = spent + 4
                wandered = self._wandered() & ~self.finished
                if bool(wandered.any()):
                    if self.shared or spent >= self.budget:
                        # One kernel cannot follow one problem, and where no pass is left to absorb, clamped entries may
                        # hide and its error says nothing: that problem is left to be solved alone.
                        broken = broken | wandered
                        self.now = xp.where(broken, math.inf, self.now)
                        done = done & ~broken
                    else:
                        self._absorb(broken)
                        spent, next_look, self.mixer = spent + 2, spent + 3, None
                        self.window = [self.now * math.inf] * WINDOW
                        continue
                leaving = (done | broken | (self.fails >= FAILS) | (spent >= self.budget)) & ~self.finished
                if bool(leaving.any()):
                    self._record(leaving)
                    self.finished = self.finished | leaving
                    left = len(self.finished) - int(self.finished.sum())
                    if left == 0:
                        return
                    if left <= (1 - _COMPACT) * len(self.finished):
                        self._keep(~self.finished)
            if spent > MIXED_MOST:
                self.slow = ~self.finished
            if passes := self._newton(tol):
                spent += passes
                next_look = spent
            else:
                self._sweep(tol)
                spent += 1

    def _sweep(self, tol: float) -> None:
        """A sweep of all, mixed with the ones before where that pays."""
        xp = self.xp
        problems, (n, m) = len(self.a), self.kernel.matrix.shape[1:]
        if self.mixer is None:
            left = _sweeps_left(xp, self.now, self.window[-1], tol)
            pays = (left > mixing_from(n, m, problems)) & ~self.finished
            if int(pays.sum()) > 0.5 * (problems - int(self.finished.sum())):
                self.mixer, self.logs = Anderson(xp, self.shares), None
                self.window = [self.now * math.inf] * WINDOW
        if self.mixer is None:
            wb = self.b / self.columns
        else:
            left = _sweeps_left(xp, self.now, self.window[0], tol, WINDOW)
            self.slow = self.slow | (left > newton_from(n, m, problems))
            astray = (self.now > ASTRAY * self.window[-1]) | self.slow
            y = -xp.log(cast(xp, self.columns, xp.float64))
            if self.logs is None:
                self.logs = xp.log(cast(xp, self._column_scalings(), xp.float64))
            x = self.logs if self.no_empty else xp.where(self.b > 0, self.logs, y)
            mixed = self.mixer.mix(x, y)
            if bool(astray.any()):
                self.mixer.forget(astray)
                mixed = xp.where(astray[:, None], y, mixed)
            self.logs = mixed
            wb = self.b * cast(xp, xp.exp(mixed), self.dtype)
        self.window = [*self.window[1:], self.now]
        self.patience = self.patience - 1
        self._set(wb)
        self.passes[self.index] += ~self.finished

    def _newton(self, tol: float) -> int:
        """A guarded Newton step for the problems that are slow, if they are enough. Returns the passes it took."""
        xp = self.xp
        if not bool(self.slow.any()):
            return 0
        ready = (self.now < NEWTON_FROM) & (self.patience <= 0) & ~self.finished
        wants = self.slow & ready
        wanting = int(wants.sum())
        if wanting == 0 or wanting < _QUORUM * (len(wants) - int(self.finished.sum())):
            return 0
        if self.mixer is not None:
            # Those that would soon want one too join, rather than have the others wait for them later.
            wants = wants | (_sweeps_left(xp, self.now, self.window[0], tol, WINDOW) > _JOIN) & ready
            self.slow = self.slow | wants
            wanting = int(wants.sum())
        rate = (self.now / self.window[-1]).clip(1e-3, 1 - 1e-7)
        root = (1 - rate) ** -0.5
        take_all = wanting > 0.7 * len(wants)
        which = self.everyone[: len(wants)] if take_all else xp.where(wants)[0]
        part = self.kernel if take_all else self.kernel.subset(which)
        ua, a, wb, sums, b, error, kv = (
            x if take_all else x[which] for x in (self.ua, self.a, self.wb, self.sums, self.b, self.now, self.kv)
        )
        plan = ua, a, wb, sums, b
        step, passes = self._direction(part, plan, error, wants[which], tol, float(root[wants].max()))
        step = step - step.mean(-1)[:, None]
        reach = self.reach[which][:, None]
        step = step * (reach / xp.maximum(xp.amax(abs(step), -1)[:, None], reach))
        # No factor, or one that the others alone asked for: no step.
        step = xp.where(wants[which][:, None] & xp.isfinite(step), step, 0.0)
        trial = wb * xp.exp(step)
        found_kv = part.rows(trial)
        found = abs(trial * part.columns(a / found_kv) - b).sum(-1) + self.kernel.noise
        # As for a single problem: far from the optimum the dual's rise says whether a step was good.
        slope = (step * (b - sums)).sum(-1)
        rise = (step * b).sum(-1) - (a * xp.log(found_kv / kv)).sum(-1)
        good = (found < GAIN * error) | ((rise > 0.1 * slope) & (rise > 4 * self.kernel.noise + 1e-12))
        good = good & wants[which]
        self.reach[which] = xp.where(good, (2 * reach[:, 0]).clip(0, STEP_LIMIT), reach[:, 0] / 4)
        gained = xp.zeros_like(wants)
        gained[which] = good
        new = self.wb + 0
        new[which] = xp.where(good[:, None], trial, wb)
        self.fails = xp.where(gained, 0.0, self.fails + wants)
        self.patience = xp.where(wants & ~gained, 2.0**self.fails, self.patience)
        self.window = [xp.where(wants, math.inf, old) for old in self.window]
        self.logs = None
        self._set(new)
        self.passes[self.index[wants]] += passes + 2
        return passes + 2

    def _direction(
        self,
        part: Kernel,
        plan: tuple[Array, Array, Array, Array, Array],
        error: Array,
        wants: Array,
        tol: float,
        root: float,
    ) -> tuple[Array, int]:
        """Newton's steps, and the passes they took, for the plans ``(ua, a, wb, sums, b)`` on these kernels."""
        xp = self.xp
        n, m = part.matrix.shape[1:]
        worth, most = math.ceil(factor_worth(n, m, len(error))), int(min(400, 40 + 4.5 * root))
        if not self.shared and worth < most:
            damping = DAMPING * error.clip(0.0, 1.0)[:, None]
            return newton_by_factors(part, *plan, damping), worth
        goal = (error * error.clip(0.01, 0.1)).clip(0.3 * (tol - self.kernel.noise))[:, None]
        goal = xp.where(wants[:, None], goal, math.inf)
        return gradients(part, *plan, goal, most)

    def _column_scalings(self) -> Array:
        if self.no_empty:
            return self.wb / self.b
        # A column without mass follows from the others, by the c-transform.
        held = self.b > 0
        return self.xp.where(held, self.wb / self.xp.where(held, self.b, 1.0), 1.0 / self.columns)

    def _wandered(self) -> Array:
        xp, limit = self.xp, _SHARED_GROWTH if self.shared else GROWTH
        w = self._column_scalings()
        # One look at all problems is cheaper than one at each, and mostly enough.
        if all(bool((x.max() < limit) & (x.min() > 1 / limit)) for x in (w, self.kv)):
            return self.finished & False
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
        xp = self.xp
        fine = xp.isfinite(self.f[where]).all(-1) & xp.isfinite(self.g[where]).all(-1)
        self.error[where] = xp.where(fine, cast(xp, self.now, xp.float64)[leaving], math.inf)

    def _keep(self, which: Array) -> None:
        self.kernel.keep(which)
        self.window = [old[which] for old in self.window]
        if self.mixer is not None:
            self.mixer.keep(which)
            self.logs = None if self.logs is None else self.logs[which]
        for name in _KEPT:
            setattr(self, name, getattr(self, name)[which])


def _sweeps_left(xp: ModuleType, error: Array, before: Array, tol: float, since: int = 1) -> Array:
    """``rates.sweeps_left`` of every problem."""
    fell = xp.log(error / before)
    return xp.where(fell < 0, since * xp.log(tol / error) / fell, math.inf)


_KEPT = (
    *("index", "a", "b", "shares", "finished", "reach", "slow", "patience", "fails"),
    *("wb", "kv", "ua", "columns", "sums", "now"),
)
