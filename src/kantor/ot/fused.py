"""Problems on the CPU, each compiled into one pass of work (Numba): where it is installed, what is tried first.

What ``Single`` does call by call for problems whose sweeps converge: absorb the potentials, sweep, mix, and the same at
the next epsilon. A sweep reads the kernel once for both its products, exponents are formed and raised in one pass, and
no call is made in between, so that a small problem costs its arithmetic alone. There are no Newton steps: a problem
that would need them is given back as far as it has come. Import this only where Numba is installed.
"""

import contextlib
import functools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from kantor.ot.compiled import SOURCES, WIDE_NOISE, compiled, finite
from kantor.ot.kernel import FLOAT32_NOISE, HIDES
from kantor.ot.level import copy, nearest, solve_at
from kantor.ot.problem import Problem
from kantor.ot.rates import NEWTON_FROM, epsilon_levels, level_tol
from kantor.ot.transport import Potentials, Transport

ROUGH = 1e-4
"""From this tolerance on vectors are float32 too. Below, sums of the float32 kernel are taken in float64: its entries
are then off by the same in every sweep, and differences of sweeps still mean something near 1e-6."""

_LEVEL_MOST = 200
"""Sweeps at a level above the last, whose result only starts the next."""


@finite
def _least(cost, least, where):
    """The least entry of every column, and the row that it is in."""
    for j in range(len(least)):
        least[j], where[j] = cost[0, j], 0
    for i in range(len(cost)):
        for j in range(len(least)):
            entry = cost[i, j]
            less = entry < least[j]
            least[j] = entry if less else least[j]
            where[j] = i if less else where[j]


@compiled
def _misplaced(where, a, b):
    """The mass out of place where column ``j`` takes its mass from row ``where[j]``."""
    off, taken = 0.0, np.zeros(len(a))
    for j in range(len(b)):
        taken[where[j]] += b[j]
    for i in range(len(a)):
        off += abs(taken[i] - a[i])
    return off


@compiled
def _settle(f, g, a, b, epsilon, total):
    """Potentials for masses of that ``total``, each side with half of the dual value, as for every solver.

    Returns by how much they are moved, which is finite where all of them are.
    """
    shift, move = 0.0, 0.5 * epsilon * math.log(total)
    for i in range(len(f)):
        shift += 0.5 * a[i] * f[i]
    for j in range(len(g)):
        shift -= 0.5 * b[j] * g[j]
    for i in range(len(f)):
        f[i] -= shift + move
    for j in range(len(g)):
        g[j] += shift - move
    return shift


@compiled
def _share(mass, out):
    """``out`` the shares of the total; returns the total and the smallest share that is not zero."""
    total, smallest = 0.0, np.inf
    for i in range(len(mass)):
        total += mass[i]
    for i in range(len(mass)):
        out[i] = mass[i] / total
        smallest = min(smallest, mass[i] if mass[i] > 0 else np.inf)
    return total, smallest / total


@compiled
def _plan_error(cost, f, g, a, b, a_total, b_total, epsilon):
    """``kernel.plan_error`` for masses of these totals."""
    columns, error = np.zeros(len(b)), 0.0
    for i in range(len(a)):
        row = 0.0
        for j in range(len(b)):
            weight = (a[i] / a_total) * (b[j] / b_total)
            entry = weight * math.exp(min((f[i] + g[j] - cost[i, j]) / epsilon, 700.0)) if weight > 0 else 0.0
            row += entry
            columns[j] += entry
        error += abs(row - a[i] / a_total)
    for j in range(len(b)):
        error += abs(columns[j] - b[j] / b_total)
    return error


@compiled
def _matched(cost, a, b, f, g, matrix, epsilon, tol, size, unseen):
    """A first sweep where every column has a row that is much the cheapest, or none: ``inf`` where they do not match.

    Starting from the columns' least costs or from the rows' makes no difference where both sides lie alike, and one of
    orders where one is noise around the other, so the second is tried where the first is not enough.
    """
    n, m = cost.shape
    least, where = np.empty(m, cost.dtype), np.empty(m, np.int32)
    _least(cost, least, where)
    if _misplaced(where, a, b) > NEWTON_FROM:
        return np.inf, 0
    for i in range(n):
        f[i] = 0.0
    for j in range(m):
        g[j] = least[j]
    error, _ = solve_at(cost, a, b, f, g, matrix, epsilon, tol, 1, True, False, size, unseen)
    if error <= tol:
        return error, 1
    other_f, other_g = np.empty(n), np.zeros(m)
    nearest(cost, other_g, other_f)
    other, _ = solve_at(cost, a, b, other_f, other_g, matrix, epsilon, tol, 1, True, False, size, unseen)
    if other < error:
        error = other
        copy(other_f, f)
        copy(other_g, g)
    return error, 2


@compiled
def _solve(
    cost, masses_a, masses_b, f, g, error, passes, matrix, a, b, warm, schedule, tols, budget, lowest, highest, unseen
):  # fmt: skip
    n, m = cost.shape[1:]
    ends, size = len(schedule) - 1, max(abs(lowest), abs(highest))
    for k in range(len(error)):
        entries = cost[k if len(cost) > 1 else 0]
        total, a_least = _share(masses_a[k], a)
        b_total, b_least = _share(masses_b[k], b)
        first, passes[k], error[k] = 0, 0, np.inf
        if ends > 0:
            error[k], passes[k] = _matched(entries, a, b, f[k], g[k], matrix, schedule[ends], tols[ends], size, unseen)
            if error[k] < np.inf:
                first = ends if error[k] > tols[ends] else ends + 1
        if first == 0 and not warm:
            for i in range(n):
                f[k, i] = lowest
            for j in range(m):
                g[k, j] = 0.0
        for level in range(first, ends + 1):
            last = level == ends
            error[k], spent = solve_at(
                entries, a, b, f[k], g[k], matrix, schedule[level], tols[level],
                budget if last else min(budget, _LEVEL_MOST), last, warm, size, unseen,
            )  # fmt: skip
            passes[k] += spent
            if not error[k] < np.inf:
                break
        if error[k] <= tols[ends] and a_least * b_least * HIDES < tols[ends]:
            off = _plan_error(entries, f[k], g[k], masses_a[k], masses_b[k], total, b_total, schedule[ends])
            error[k] = error[k] if off <= error[k] else off
        if not np.isfinite(_settle(f[k], g[k], a, b, schedule[ends], total)):
            error[k] = np.inf


@functools.cache
def _ready(cost: str, mass: str, vector: str) -> None:
    """Have another process compile for these dtypes where none has, so that this one reads what all to come will read.

    What a process compiles itself is another copy of the same code, whose last digits may differ from those of the copy
    on disk, and a run must resume to the bit.
    """
    if not (folder := _solve.stats.cache_path):
        return
    marker = Path(folder) / f"kantor-{SOURCES}-{cost}-{mass}-{vector}"
    if not marker.exists():
        code = f"from kantor.ot.fused import _compile; _compile({cost!r}, {mass!r}, {vector!r})"
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
        with contextlib.suppress(OSError):
            if done:
                marker.touch()


def _compile(cost: str, mass: str, vector: str) -> None:
    """Solve one problem of one entry, with arguments of the types that ``solve_fused`` gives."""
    given, masses, vectors = np.zeros((1, 1, 1), cost), np.ones((1, 1), mass), (np.ones(1, vector), np.ones(1, vector))
    found = np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1), np.zeros(1, np.int64)
    one = np.ones(1)
    _solve(given, masses, masses, *found, np.zeros((1, 1), np.float32), *vectors, False, one, one, 1, 0.0, 0.0, 0.0)


def solve_fused(problem: Problem, epsilon: float, tol: float, budget: int, potentials: Potentials | None) -> Transport:
    """The transport of problems that each have a cost of their own.

    Args:
        problem: on the CPU.
        epsilon: the regularisation.
        tol: L1 marginal error over the total mass; the kernel is float32, so not below 1e-6.
        budget: sweeps, per level.
        potentials: those to start from.
    """
    (n, m), batch = problem.size, problem.batch
    # NumPy's views cost a fraction of torch's, which a small problem would notice.
    a, b, cost = problem.a.numpy(force=True), problem.b.numpy(force=True), problem.cost
    if not batch:
        cost, a, b = cost.numpy(force=True)[None], a[None], b[None]
    else:
        a, b = a.reshape(-1, n), b.reshape(-1, m)
        cost = cost if cost.numel() == n * m else cost.expand(*batch, n, m)
        cost = cost.reshape(-1, n, m).numpy(force=True)
    problems = len(a)
    f, error, passes = np.empty((problems, n)), np.empty(problems), np.empty(problems, np.int64)
    g = np.empty((problems, m))
    if potentials is not None:
        f[:], g[:] = (x.reshape(problems, -1).numpy() for x in potentials)
    dtype, unseen = (np.float32, FLOAT32_NOISE) if tol >= ROUGH else (np.float64, WIDE_NOISE)
    bounds = problem.lowest, problem.highest
    schedule = [epsilon] if potentials is not None else epsilon_levels(epsilon, bounds[1] - bounds[0])
    tols = [*(level_tol(schedule, tol) for _ in schedule[1:]), tol]
    _ready(cost.dtype.char, a.dtype.char, dtype.__name__)
    # By NumPy, which asks for large pages: without them a first touch of 4,096 x 4,096 takes nearly half of a solve.
    matrix = np.empty((n, m), np.float32)
    _solve(
        np.ascontiguousarray(cost), np.ascontiguousarray(a), np.ascontiguousarray(b), f, g, error, passes,
        matrix, np.empty(n, dtype), np.empty(m, dtype), potentials is not None, np.array(schedule), np.array(tols),
        int(budget), *bounds, unseen,
    )  # fmt: skip
    done = error <= tol
    if len(batch) != 1:
        f, g = f.reshape(*batch, n), g.reshape(*batch, m)
        error, passes, done = error.reshape(batch), passes.reshape(batch), done.reshape(batch)
    tensors = [torch.from_numpy(x) for x in (f, g, error, passes, done)]
    return Transport(problem, epsilon, (tensors[0], tensors[1]), *tensors[2:])
