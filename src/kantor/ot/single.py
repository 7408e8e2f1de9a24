"""One problem on the CPU, in NumPy: what a training step meets most, so every call counts."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kantor.ot.anderson import ASTRAY, Anderson
from kantor.ot.kernel import GROWTH, fill, may_hide, plan_error, there_and_back
from kantor.ot.newton import gradients_one, newton_by_factor
from kantor.ot.rates import (
    DAMPING,
    FAILS,
    FEW,
    GAIN,
    LEVEL_SPAN,
    NEWTON_FROM,
    STEP_LIMIT,
    WINDOW,
    epsilon_levels,
    factor_worth,
    level_tol,
    mixing_from,
    mixing_to,
    newton_from,
    newton_iterations,
    sweeps_left,
)

Vector = NDArray[Any]


class Single:
    """Kernel-domain sweeps and Newton steps on one ``[n, m]`` cost.

    The plan is ``ua_i K_ij wb_j`` with ``K`` at potentials ``(f, g)``; rows are always exact, so ``error``, the L1
    error of the columns, is the plan's.
    """

    def __init__(
        self,
        cost: NDArray[Any],
        a: Vector,
        b: Vector,
        tol: float,
        budget: int,
        bounds: tuple[float, float],
        dtype: Any,
    ):
        self.cost, self.tol, self.budget, self.bounds = cost, tol, budget, bounds
        self.a, self.b, self.given, self.shares = a.astype(dtype), b.astype(dtype), a, b
        self.empty = np.flatnonzero(b == 0) if b.min() == 0 else None
        self.matrix = np.empty(cost.shape, dtype)
        self.kv = np.empty_like(self.a)
        self.passes, self.noise = 0, 0.0
        self.error = math.inf
        self.needed = 0.0
        # Zero where there are none yet.
        self.f: Vector | None = None
        self.g: Vector | None = None

    def solve(self, epsilon: float, start: Vector | None) -> tuple[Vector, Vector]:
        """Float64 potentials; ``error`` and ``passes`` say what they are worth."""
        schedule = [epsilon]
        if start is None and not self._nearest_is_near(epsilon):
            schedule = epsilon_levels(epsilon, self.bounds[1] - self.bounds[0])
            self._start(schedule[0])
        elif start is not None:
            self.g = start.copy()
            self.f = (self.cost - start.astype(self.cost.dtype)).min(1).astype(np.float64)
        with np.errstate(all="ignore"):
            for level in schedule:
                last = level is schedule[-1]
                tol = self.tol if last else level_tol(schedule, self.tol)
                self._absorb(level, tol)
                self._stage(tol)
                self._update_potentials()
                if not math.isfinite(self.error):
                    break
        assert self.f is not None and self.g is not None
        if not math.isfinite(float(self.f.sum()) + float(self.g.sum())):  # masses so small that a scaling vanished
            self.error = math.inf
        elif self.error <= self.tol and may_hide(self.given, self.shares, self.tol):
            seen = plan_error(np, self.cost, self.given, self.shares, self.f, self.g, epsilon)
            self.error = max(self.error, float(seen))
        return self.f, self.g

    def _nearest_is_near(self, epsilon: float) -> bool:
        """Whether sending every row to its cheapest column nearly solves the problem; then that is the start."""
        if self.bounds[1] - self.bounds[0] <= LEVEL_SPAN * epsilon:
            return False
        n, m = self.cost.shape
        nearest = self.cost.argmin(1)
        if np.abs(np.bincount(nearest, self.a, m) - self.b).sum() > NEWTON_FROM:
            return False
        self.f, self.g = self.cost[np.arange(n), nearest].astype(np.float64), None
        return True

    def _start(self, epsilon: float) -> None:
        low, high = self.bounds
        self.f, self.g = None, None
        if (high - low) / epsilon > 60.0:
            nearest = self.cost.min(1)
            self.f = nearest.astype(np.float64)
            self.g = (self.cost - nearest[:, None]).min(0).astype(np.float64)
        elif max(abs(low), abs(high)) / epsilon > 60.0:
            self.f = np.full(len(self.a), low, np.float64)

    def _absorb(self, epsilon: float, tol: float) -> None:
        self.epsilon = epsilon
        self.noise = fill(
            np,
            self.matrix[None],
            self.cost[None],
            None if self.f is None else self.f[None],
            None if self.g is None else self.g[None],
            epsilon,
            tol,
            self.bounds,
        )
        self._set(self.b)

    def _set(self, wb: Vector) -> None:
        """Take column scalings (over masses) ``wb``; make the rows exact and measure the columns."""
        self.wb = wb
        self.ua, self.columns = there_and_back(self.matrix, wb, self._row_scalings)
        self.sums = wb * self.columns
        self.error = float(np.add.reduce(np.abs(self.sums - self.b))) + self.noise
        self.passes += 1

    def _row_scalings(self, kv: Vector, at: slice) -> Vector:
        self.kv[at] = kv
        return self.a[at] / kv

    def _stage(self, tol: float) -> None:
        patience, fails, next_look = 1, 0, self.passes + 1
        limit = self.passes + self.budget
        self._forget()
        # Mixing goes by differences of sweeps, which near the dtype's rounding are nothing else.
        self.mixes = tol > 10 * self.noise
        while True:
            if self.error <= tol or self.passes >= next_look:
                next_look = self.passes + 8
                if self._wandered():
                    self._update_potentials()
                    self._absorb(self.epsilon, tol)
                    self._forget()
                    patience, next_look = 1, self.passes + 1
                    if self.passes < limit:
                        continue
                    if self._wandered():
                        self.error = math.inf
                if self.error <= tol:
                    return
            if self.passes >= limit or not self.error < math.inf:
                return
            iterations = 0.0
            left = sweeps_left(self.error, self.errors[-1], tol)
            if left > FEW:
                self._mix_where_it_pays(left, tol)
                if self.mixer is None and patience <= 0:
                    iterations = newton_iterations(self.error, self.errors[-1], tol)
            if iterations:
                if self._newton(tol, iterations):
                    fails, patience, self.mixes = 0, 1, False
                else:
                    fails += 1
                    patience = 2**fails
                    if fails == FAILS:
                        return
                self._forget()
                # A step can carry scalings further than many sweeps.
                next_look = self.passes
                continue
            patience -= 1
            self._sweep()

    def _forget(self) -> None:
        """What was seen of the sweeps so far says nothing of those to come."""
        self.errors = [math.inf] * WINDOW
        self.mixer: Anderson | None = None

    def _mix_where_it_pays(self, left: float, tol: float) -> None:
        """Begin to mix sweeps where few enough are left to end it so, and cease where it turns out that they do not."""
        size = len(self.a), len(self.b), 1
        if self.mixer is not None:
            if sweeps_left(self.error, self.errors[0], tol, WINDOW) > newton_from(*size):
                self._forget()
                self.mixes = False
        elif self.mixes and mixing_from(*size) < left < mixing_to(*size):
            self._forget()
            self.mixer = Anderson(np, self.shares)
            self.logs = np.log(self._column_scalings(), dtype=np.float64)

    def _sweep(self) -> None:
        """A sweep, mixed with the ones before where that pays."""
        if self.mixer is None:
            wb = self.b / self.columns
        else:
            y = -np.log(self.columns, dtype=np.float64)
            if self.error > ASTRAY * self.errors[-1]:
                self.mixer = Anderson(np, self.shares)
                self.logs = y
            else:
                self.logs = self.mixer.mix(self.logs, y)
            wb = self.b * np.exp(self.logs).astype(self.b.dtype)
        self.errors = [*self.errors[1:], self.error]
        self._set(wb)

    def _newton(self, tol: float, iterations: float) -> bool:
        """One guarded step. Whether it gained; without a gain nothing has changed."""
        step = self._direction(tol, iterations)
        largest = float(np.abs(step).max())
        if not largest < math.inf:
            return False
        if largest > STEP_LIMIT:
            step *= STEP_LIMIT / largest
        before = self.wb, self.kv.copy(), self.ua, self.columns, self.sums, self.error
        slope = float(np.dot(step, self.b - self.sums))
        for _ in range(4):
            self._set(before[0] * np.exp(step).astype(self.wb.dtype))
            # What the dual, concave but not quadratic, has risen by, over epsilon. Near the optimum rounding hides
            # it and the error speaks; far from it the error may stand still while the dual rises.
            rise = float(np.dot(step, self.b)) - float(np.dot(self.a, np.log(self.kv / before[1])))
            if self.error < GAIN * before[5] or rise > max(0.1 * slope, 4 * self.noise, 1e-12):
                return True
            step, slope = step * 0.25, slope * 0.25
        self.wb, self.kv, self.ua, self.columns, self.sums, self.error = before
        return False

    def _direction(self, tol: float, iterations: float) -> Vector:
        plan = self.matrix, self.ua, self.a, self.wb, self.sums, self.b
        # Modes flatter than the error is large would ask for steps that the quadratic model does not reach.
        damping = DAMPING * min(self.error, 1.0)
        worth = math.ceil(factor_worth(len(self.a), len(self.b)))
        # A sweep or two after a step the fast modes are all that is seen: the last step knows the slow ones. Where
        # neither does, as many iterations as the factor costs are tried before it is paid for.
        if max(iterations, self.needed) <= worth:
            goal = max(0.3 * (tol - self.noise), self.error * min(0.1, max(0.01, self.error)))
            most = int(min(600, worth, max(40 + 4 * iterations, 1.3 * self.needed)))
            step, passes = gradients_one(*plan, goal, most, damping)
            self.passes += passes
            self.needed = float(passes)
            if passes < worth:
                return step - step.mean()
            self.needed += 1
        by_factor = self._by_factor(plan, damping, worth)
        if by_factor is not None:
            return by_factor
        step, passes = gradients_one(*plan, 0.3 * self.error, worth, damping)
        self.passes += passes
        return step - step.mean()

    def _by_factor(
        self, plan: tuple[NDArray[Any], Vector, Vector, Vector, Vector, Vector], damping: float, worth: int
    ) -> Vector | None:
        step = None
        for _ in range(5):
            step = newton_by_factor(*plan, damping)
            self.passes += worth
            largest = math.inf if step is None else float(np.abs(step := step - step.mean()).max())
            if largest <= 4 * STEP_LIMIT:
                break
            # Where parts of the problem hardly touch, the step between them is long for want of curvature, and
            # would shorten all others when it is cut.
            flat = 0.05 * min(self.error, 1.0) / STEP_LIMIT
            damping = max(flat, damping * min(10.0, largest / STEP_LIMIT))
        return step

    def _column_scalings(self) -> Vector:
        if self.empty is None:
            return self.wb / self.b
        # A column without mass follows from the others, by the c-transform.
        w = self.wb / np.where(self.b > 0, self.b, 1)
        w[self.empty] = 1.0 / self.columns[self.empty]
        return w

    def _wandered(self) -> bool:
        w = self._column_scalings()
        largest = max(float(w.max()), 1.0 / float(self.kv.min()))
        smallest = min(float(w.min()), 1.0 / float(self.kv.max()))
        return not (largest < GROWTH and smallest > 1 / GROWTH)

    def _update_potentials(self) -> None:
        moved_f = -self.epsilon * np.log(self.kv, dtype=np.float64)
        moved_g = self.epsilon * np.log(self._column_scalings(), dtype=np.float64)
        self.f = moved_f if self.f is None else self.f + moved_f
        self.g = moved_g if self.g is None else self.g + moved_g
