"""One epsilon of a problem, compiled (Numba): absorb the potentials, sweep, mix, until done. For ``fused`` alone."""

import math

import numpy as np

from kantor.ot.anderson import ASTRAY, RIDGE
from kantor.ot.compiled import compiled, fill
from kantor.ot.kernel import GROWTH
from kantor.ot.rates import STEP_LIMIT, WINDOW

_LONGEST = 200.0
"""Mixed sweeps left, from which Newton steps are the better way."""
_MIX = 12.0
"""What mixing costs, in rows of a sweep."""
_MEMORY = 10
"""Differences remembered: more than by calls, since here they cost no more than their arithmetic."""
_LOOK = 8
"""Sweeps between looks at how far scalings have gone."""


@compiled
def _sweep(matrix, wb, a, b, kv, columns):
    """``kv = K wb`` and ``columns = K^T (a / kv)``, four rows at a time. Returns the columns' L1 error."""
    n, m = matrix.shape
    zero = wb.dtype.type(0)
    for j in range(m):
        columns[j] = zero
    i = 0
    while i + 4 <= n:
        r0, r1, r2, r3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        s0, s1, s2, s3 = zero, zero, zero, zero
        for j in range(m):
            s0 += r0[j] * wb[j]
            s1 += r1[j] * wb[j]
            s2 += r2[j] * wb[j]
            s3 += r3[j] * wb[j]
        kv[i], kv[i + 1], kv[i + 2], kv[i + 3] = s0, s1, s2, s3
        u0, u1, u2, u3 = a[i] / s0, a[i + 1] / s1, a[i + 2] / s2, a[i + 3] / s3
        for j in range(m):
            columns[j] += u0 * r0[j] + u1 * r1[j] + u2 * r2[j] + u3 * r3[j]
        i += 4
    while i < n:
        row, s0 = matrix[i], zero
        for j in range(m):
            s0 += row[j] * wb[j]
        kv[i], u0 = s0, a[i] / s0
        for j in range(m):
            columns[j] += u0 * row[j]
        i += 1
    error = zero
    for j in range(m):
        error += abs(wb[j] * columns[j] - b[j])
    return np.float64(error)


@compiled
def copy(x, out):
    """``out[:] = x`` without its check of lengths, which takes seconds to compile."""
    for i in range(len(x)):
        out[i] = x[i]


@compiled
def _forget(errors):
    for k in range(len(errors)):
        errors[k] = np.inf


@compiled
def _eliminate(system, right, h):
    """``right`` becomes the solution; a direction that the ones before it span takes no part."""
    for p in range(h):
        for q in range(p + 1, h):
            ratio = system[q, p] / system[p, p] if system[p, p] > 0 else 0.0
            for r in range(p, h):
                system[q, r] -= ratio * system[p, r]
            right[q] -= ratio * right[p]
    for p in range(h - 1, -1, -1):
        for q in range(p + 1, h):
            right[p] -= system[p, q] * right[q]
        right[p] = right[p] / system[p, p] if system[p, p] > 0 else 0.0


@compiled
def _mix(logs, y, weight, count, residuals, images, gram, last):
    """Anderson's step, as ``anderson.Anderson.mix`` takes it: ``logs`` becomes what to go on from."""
    m = len(y)
    k, h = (count - 1) % _MEMORY, min(count, _MEMORY)
    share, system = np.zeros(_MEMORY), np.zeros((_MEMORY, _MEMORY))
    for j in range(m):
        residual = (y[j] - logs[j]) * weight[j]
        residuals[k, j], images[k, j] = residual - last[0, j], y[j] - last[1, j]
        last[0, j], last[1, j] = residual, y[j]
    if count == 0:
        copy(y, logs)
        return
    for p in range(h):
        product, right = 0.0, 0.0
        for j in range(m):
            product += residuals[p, j] * residuals[k, j]
            right += residuals[p, j] * last[0, j]
        gram[p, k] = gram[k, p] = product
        share[p] = right
    for p in range(h):
        for q in range(h):
            system[p, q] = gram[p, q]
        system[p, p] = gram[p, p] * (1 + RIDGE) + 1e-300
    _eliminate(system, share, h)
    largest = 0.0
    for j in range(m):
        step = 0.0
        for p in range(h):
            step += share[p] * images[p, j]
        logs[j] = y[j] - step
        largest = max(largest, abs(step)) if step == step else np.inf
    # Residuals that hardly differ say nothing of where they end.
    if not largest <= STEP_LIMIT:
        copy(y, logs)


@compiled
def _left(error, before, tol, since):
    """``rates.sweeps_left``."""
    if not error < before:
        return np.inf
    return since * math.log(tol / error) / math.log(error / before) if before < np.inf else 0.0


@compiled
def _absorb(matrix, cost, f, g, epsilon, tol, highest, exact_f, exact_g, rough_f, rough_g):
    """Form the kernel at these potentials. Returns what rounded exponents may hide from an L1 marginal error."""
    unit, size = 1.0 / (epsilon * math.log(2)), highest
    for x, exact, rough in ((f, exact_f, rough_f), (g, exact_g, rough_g)):
        largest = 0.0
        for i in range(len(x)):
            exact[i] = x[i] * unit
            rough[i] = exact[i]
            largest = max(largest, abs(x[i]))
        size += largest
    # Differences in float32 are off by this share of an entry; where tol would see it they are taken in float64.
    rounding = size / epsilon * 2.0**-23
    if rounding > 0.05 * tol:
        fill(matrix, cost, exact_f, exact_g, unit)
        return 0.0
    fill(matrix, cost, rough_f, rough_g, np.float32(unit))
    return rounding


@compiled
def _scaling(wb, b, columns, j):
    """A column's. One without mass follows from the others, by the c-transform."""
    return np.float64(wb[j] / b[j] if b[j] > 0 else 1 / columns[j])


@compiled
def _far(kv, wb, b, columns):
    """Whether a scaling has left the bounds within which a clamped entry cannot hide."""
    far = False
    for i in range(len(kv)):
        far |= not 1 / GROWTH < kv[i] < GROWTH
    for j in range(len(b)):
        far |= not 1 / GROWTH < _scaling(wb, b, columns, j) < GROWTH
    return far


@compiled
def nearest(cost, g, f):
    """``f_i`` the least ``cost_ij - g_j``: what fits column potentials."""
    for i in range(len(f)):
        least = np.inf
        for j in range(len(g)):
            least = min(least, cost[i, j] - g[j])
        f[i] = least


@compiled
def solve_at(cost, a, b, f, g, matrix, epsilon, tol, most, last, warm, highest, unseen):
    """Absorb, and sweep until done; the potentials are moved to where that ends. Returns the error and the sweeps.

    ``a`` and ``b`` are in the dtype of the vectors; ``warm`` says that the potentials were those of a problem like this
    one; ``highest`` is the largest magnitude in the cost and ``unseen`` what the vectors' rounding may hide from the
    error.
    """
    n, m = cost.shape
    kv, columns, wb, before = np.empty_like(a), np.empty_like(b), np.empty_like(b), np.empty_like(b)
    exact_f, exact_g, rough_f, rough_g = np.empty(n), np.empty(m), np.empty(n, np.float32), np.empty(m, np.float32)
    logs, y, weight = np.empty(m), np.empty(m), np.empty(m)
    residuals, images, edge = np.empty((_MEMORY, m)), np.empty((_MEMORY, m)), np.empty((2, m))
    gram, errors = np.empty((_MEMORY, _MEMORY)), np.empty(WINDOW)
    # Close by, sweeps soon slow down to the slowest modes, of which their first rate knows nothing.
    mix_from = ((1 if warm else 2) * (1 + _MIX / n)) ** 2
    spent, over, far, fitted, error = 0, False, False, False, np.inf
    while not over:  # absorb, and sweep until done or the scalings have gone too far
        noise = unseen + _absorb(matrix, cost, f, g, epsilon, tol, highest, exact_f, exact_g, rough_f, rough_g)
        copy(b, wb)
        error = _sweep(matrix, wb, a, b, kv, columns) + noise
        spent += 1
        absorbed = spent
        _forget(errors)
        mixing, far, count, look = False, False, np.int64(0), spent
        while True:
            over = spent >= most or not error < np.inf
            if mixing and last and _left(error, errors[0], tol, float(WINDOW)) > _LONGEST:
                over = True
            if over or error <= tol or spent >= look:
                far = _far(kv, wb, b, columns)
                if far:
                    break
                over |= error <= tol
                look = spent + _LOOK
            if over:
                break
            if not mixing and _left(error, errors[WINDOW - 1], tol, 1.0) > mix_from:
                mixing, count = True, np.int64(1)
                _forget(errors)
                for j in range(m):
                    logs[j] = math.log(_scaling(wb, b, columns, j))
                    weight[j] = math.sqrt(np.float64(b[j]))
                    # The sweep that led here is the first to remember.
                    edge[0, j] = (logs[j] - math.log(before[j] / b[j])) * weight[j] if b[j] > 0 else 0.0
                    edge[1, j] = logs[j]
            if mixing:
                for j in range(m):
                    y[j] = -math.log(np.float64(columns[j]))
                if error > ASTRAY * errors[WINDOW - 1]:
                    count = np.int64(0)
                    copy(y, logs)
                else:
                    _mix(logs, y, weight, count, residuals, images, gram, edge)
                    count += 1
                for j in range(m):
                    wb[j] = b[j] * math.exp(logs[j])
            else:
                for j in range(m):
                    before[j] = wb[j]
                    wb[j] = b[j] / columns[j]
            for k in range(WINDOW - 1):
                errors[k] = errors[k + 1]
            errors[WINDOW - 1] = error
            error = _sweep(matrix, wb, a, b, kv, columns) + noise
            spent += 1
        if far and spent == absorbed and not fitted:
            # Far before any sweep: these row potentials do not fit the others.
            nearest(cost, g, f)
            fitted = True
            continue
        for i in range(n):
            f[i] -= epsilon * math.log(np.float64(kv[i]))
        for j in range(m):
            g[j] += epsilon * math.log(_scaling(wb, b, columns, j))
    # With scalings that far a clamped entry may hide in the marginals.
    return np.inf if far else error, spent
