"""The kernel of a problem with potentials absorbed, and its products with vectors.

Written once for NumPy and torch, whose functions share names: on the CPU NumPy's calls cost half and its batched
products a tenth of torch's; on an accelerator the same lines run in torch.
"""

import functools
import importlib.util
import math
import os
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kantor.core.optional import is_missing
from kantor.ot.precision import no_autocast

Array = Any
"""A NumPy array or a torch tensor, as the module ``xp`` beside it says."""

FLOOR = -80.0
"""Exponents stop here: below, float32 turns denormal, ten to a hundred times slower on a CPU."""

CEILING = 60.0
"""And here: an entry this large would drive its scalings out of bounds, unless neither side has mass."""

GROWTH = 1e12
"""How far scalings may wander from 1 before they are absorbed. An entry at the floor, e^-80, then weighs at most
e^-80 * GROWTH^2 = 2e-11 of its masses' product, so that clamping it cannot hide in the marginals."""

HIDES = 1e24
"""What an entry at the ceiling, e^60, weighs at least beside the product of its masses, with scalings near 1."""

FLOAT32_NOISE = 5e-7
"""What float32 kernels and scalings may add to an L1 marginal error without being seen in it."""

# How far scalings in float64 may raise an entry that has underflowed.
_SPANNED = 650.0

_CPU = torch.device("cpu")

# NumPy has powers of two at half the price of those of e, and more exact, where its vector library runs: with AVX-512.
_POWER, _UNIT = (np.exp2, math.log2(math.e)) if torch.backends.cpu.get_cpu_capability() == "AVX512" else (np.exp, 1.0)

# Entries worked on at a time: a block stays in or near a core's cache, and its float64 temporaries stay small.
_BLOCK = 2**17
BLOCK_ACCELERATOR = 2**26
_BLAS_BLOCK = 2**18


def fill(
    xp: ModuleType,
    out: Array,
    cost: Array,
    f: Array | None,
    g: Array | None,
    epsilon: float,
    tol: float,
    bounds: tuple[float, float],
) -> float:
    """``out_ij = exp((f_i + g_j - cost_ij) / epsilon)``, clamped from below, for every problem.

    Returns what rounding, here and in the products to come, may add to an L1 marginal error without showing in it.

    Args:
        xp: ``numpy`` or ``torch``.
        out: ``[problems, n, m]``, float32 or float64.
        cost: the same shape, in the dtype it was given.
        f: float64 potentials, ``[problems, n]``; None for zero.
        g: the same, ``[problems, m]``.
        epsilon: the regularisation.
        tol: the marginal error that rounding must not touch.
        bounds: the lowest and highest entry of the cost.
    """
    problems, n, m = cost.shape
    (f_low, f_high), (g_low, g_high) = _extent(f), _extent(g)
    shift = max(-f_low, f_high) + max(-g_low, g_high)
    # Differences in float32 are off by this share of an entry; where tol would see it they are taken in float64, and
    # only the kernel is rounded.
    rounding = (max(map(abs, bounds)) + shift) / epsilon * 2.0**-23
    exact = rounding > 0.05 * tol or out.dtype == xp.float64
    working = xp.float64 if exact else xp.float32
    clamp = _clamps((f_low + g_low, f_high + g_high), epsilon, bounds)
    power, unit = (_POWER, _UNIT) if xp is np else (xp.exp, 1.0)
    factor = -unit / epsilon
    f = None if f is None or f_low == f_high == 0 else cast(xp, f * -factor, working)
    g = None if g is None or g_low == g_high == 0 else cast(xp, g * -factor, working)
    budget = _BLOCK if xp is np else BLOCK_ACCELERATOR
    group = max(1, budget // (n * m))
    rows = n if group > 1 else max(1, budget // m)
    wide = out
    if out.dtype != working:
        shape = min(group, problems), min(rows, n), m
        wide = np.empty(shape, working) if xp is np else out.new_empty(shape, dtype=working)
    for k in range(0, problems, group):
        for i in range(0, n, rows):
            target = out[k : k + group, i : i + rows]
            # In place, in the working dtype: rounding an exponent of 20 would already cost 1e-6 of the entry.
            block = target if target.dtype == working else wide[: target.shape[0], : target.shape[1]]
            xp.multiply(cast(xp, cost[k : k + group, i : i + rows], working), factor, out=block)
            if f is not None:
                block += f[k : k + group, i : i + rows, None]
            if g is not None:
                block += g[k : k + group, None, :]
            if clamp:
                xp.clip(block, unit * FLOOR, unit * CEILING, out=block)
            power(block, out=block)
            if block is not target:
                target[...] = block
    if out.dtype == xp.float64:
        return 0.0
    return FLOAT32_NOISE + (0.0 if exact else rounding)


def _clamps(moved: tuple[float, float], epsilon: float, bounds: tuple[float, float]) -> bool:
    """Whether an exponent may be out of bounds, for potentials whose sums lie between these two."""
    return (moved[0] - bounds[1]) / epsilon < FLOOR or (moved[1] - bounds[0]) / epsilon > CEILING


def _extent(potentials: Array | None) -> tuple[float, float]:
    return (0.0, 0.0) if potentials is None else (float(potentials.min()), float(potentials.max()))


def may_hide(a: Array, b: Array, tol: float) -> bool:
    """Whether an entry at the ceiling could weigh too little to show in the marginals, for shares of some total.

    Then potentials may be far too high there without anyone's noticing: ask ``plan_error``.
    """
    return float(a[a > 0].min()) * float(b[b > 0].min()) * HIDES < tol


def plan_error(xp: ModuleType, cost: Array, a: Array, b: Array, f: Array, g: Array, epsilon: float) -> Array:
    """The L1 marginal error of the plan of potentials ``[..., n]``, ``[..., m]``, nothing clamped that matters."""
    exponents = (f[..., :, None] + g[..., None, :] - cost) / epsilon
    plan = a[..., :, None] * b[..., None, :] * xp.exp(exponents.clip(max=700.0))
    return abs(plan.sum(-1) - a).sum(-1) + abs(plan.sum(-2) - b).sum(-1)


def plan_errors(
    cost: NDArray[Any], a: NDArray[Any], b: NDArray[Any], f: NDArray[Any], g: NDArray[Any], epsilon: float
) -> NDArray[Any]:
    """``plan_error`` of problems ``[problems, n]`` that share their cost: one exponential, and products of matrices.

    Infinite or NaN where the potentials lie so far from the first problem's that float64 does not span them.
    """
    with np.errstate(all="ignore"), no_autocast(_CPU):
        f_moved, g_moved = (f - f[0]) / epsilon, (g - g[0]) / epsilon
        # By torch, whose threads are those that the user has set; OpenBLAS's own would fight with them.
        matrix = torch.from_numpy(np.exp((f[0][:, None] + g[0] - cost) / epsilon))
        u = torch.from_numpy(np.where(a > 0, a * np.exp(f_moved), 0.0))
        v = torch.from_numpy(np.where(b > 0, b * np.exp(g_moved), 0.0))
        rows, columns = torch.mm(v, matrix.T).mul_(u).numpy(), torch.mm(u, matrix).mul_(v).numpy()
        off = np.abs(rows - a).sum(1) + np.abs(columns - b).sum(1)
        # An entry that underflowed, below e^-745, must not matter after it is scaled either.
        return np.where(f_moved.max(1) + g_moved.max(1) < _SPANNED, off, np.inf)


def there_and_back(
    matrix: NDArray[Any],
    v: NDArray[Any],
    weigh: Callable[[NDArray[Any], slice], NDArray[Any]],
) -> Any:
    """``u = weigh(matrix v)`` and ``u matrix`` for one NumPy matrix, as ``(u, u matrix)``.

    A large matrix is passed over once, block by block, so that the second product finds it in the cache. Blocks also
    stay below the size at which OpenBLAS starts threads of its own, which fight with torch's.
    """
    n, m = matrix.shape
    if n * m <= _BLAS_BLOCK:
        u = weigh(np.dot(matrix, v), slice(None))
        return u, np.dot(u, matrix)
    rows = max(1, _BLAS_BLOCK // m)
    u, back = np.empty(n, matrix.dtype), np.zeros(m, matrix.dtype)
    for i in range(0, n, rows):
        at = slice(i, i + rows)
        block = matrix[at]
        u[at] = part = weigh(np.dot(block, v), at)
        back += np.dot(part, block)
    return u, back


class Kernel:
    """The kernels of a batch, ``[problems, n, m]``.

    Where several problems share a cost there is one kernel, ``[1, n, m]``, at potentials ``[1, n]`` and ``[1, m]``;
    what the problems differ by is left to their scalings.
    """

    def __init__(
        self,
        xp: ModuleType,
        cost: Array,
        dtype: Any,
        tol: float,
        bounds: tuple[float, float],
    ):
        self.xp, self.cost, self.tol, self.bounds = xp, cost, tol, bounds
        self.fused = xp is torch and triton_on(cost.device)
        self.matrix: Array = np.empty(cost.shape, dtype) if xp is np else cost.new_empty(cost.shape, dtype=dtype)

    def absorb(self, f: Array, g: Array, epsilon: float) -> None:
        """Form the kernels anew at float64 potentials."""
        self.f, self.g, self.epsilon = f, g, epsilon
        self.noise = fill(self.xp, self.matrix, self.cost, f, g, epsilon, self.tol, self.bounds)

    @property
    def clamped(self) -> bool:
        """Whether an entry may have been out of bounds when the kernels were formed."""
        (f_low, f_high), (g_low, g_high) = _extent(self.f), _extent(self.g)
        return _clamps((f_low + g_low, f_high + g_high), self.epsilon, self.bounds)

    def rows(self, v: Array) -> Array:
        """``K v`` for every problem: ``[problems, n]``."""
        if len(self.matrix) > 1:
            return self.xp.matmul(self.matrix, v[:, :, None])[:, :, 0]
        return self._shared(v, self.matrix[0].T)

    def columns(self, u: Array) -> Array:
        """``K^T u`` for every problem: ``[problems, m]``."""
        if len(self.matrix) > 1:
            return self.xp.matmul(u[:, None, :], self.matrix)[:, 0, :]
        return self._shared(u, self.matrix[0])

    def both(self, wb: Array, a: Array) -> tuple[Array, Array, Array]:
        """A sweep's products: ``kv = K wb``, ``ua = a / kv`` and ``K^T ua``."""
        if self.fused and self.matrix.dtype == torch.float32 and len(self.matrix) == len(wb):
            from kantor.ot.gpu_dense import both_products

            kv, columns = both_products(self.matrix, wb, a)
            return kv, a / kv, columns
        kv = self.rows(wb)
        ua = a / kv
        return kv, ua, self.columns(ua)

    def _shared(self, x: Array, matrix: Array) -> Array:
        if self.xp is torch:
            return x @ matrix
        # A product of matrices is worth threads, and torch's are those the user has set.
        with no_autocast(_CPU):
            return torch.mm(torch.from_numpy(x), torch.from_numpy(matrix)).numpy()

    def keep(self, which: Array) -> None:
        """Drop every problem but these."""
        if len(self.matrix) > 1:
            self.f, self.g = self.f[which], self.g[which]
            self.cost, self.matrix = self.cost[which], self.matrix[which]

    def subset(self, which: Array) -> "Kernel":
        """The products of these problems alone."""
        if len(self.matrix) == 1:
            return self
        part = object.__new__(Kernel)
        part.xp, part.fused, part.matrix = self.xp, self.fused, self.matrix[which]
        return part


@functools.cache
def triton_on(device: torch.device) -> bool:
    """Whether Triton's kernels can run there."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


@functools.cache
def numba_on() -> bool:
    """Whether Numba can compile here: installed, fit for this NumPy, and not switched off (NUMBA_DISABLE_JIT). Where it
    is installed and cannot be imported, it is said once."""
    try:
        import numba  # noqa: F401
    except Exception as error:  # what it needs may be anything
        if not is_missing(error):
            warnings.warn(f"Transport runs without numba, more slowly: importing it fails ({error}).", stacklevel=2)
        return False
    return os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"


def cast(xp: ModuleType, x: Array, dtype: Any) -> Array:
    """``x`` in another dtype, itself where it has it already."""
    if x.dtype == dtype:
        return x
    return x.astype(dtype) if xp is np else x.to(dtype)
