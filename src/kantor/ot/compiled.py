"""Kernels and plans from potentials in one compiled pass (Numba). Import this only where Numba is installed."""

import hashlib
import math
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Float
from numba import njit  # pyright: ignore[reportMissingImports]
from torch import Tensor

from kantor.ot.kernel import CEILING, FLOOR

WIDE_NOISE = 2e-7
"""What a float32 kernel from float64 exponents, whose sums are taken in float64, may hide from an L1 marginal error:
an entry is off by 7e-8 at most, and so is the sum of a row and that of a column."""

_LOW, _HIGH = FLOOR * math.log2(math.e), CEILING * math.log2(math.e)
# 2^x for |x| <= 1/2: exp(x log 2) by Taylor's series, whose rest is below float32's rounding.
_P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7 = (np.float32(math.log(2) ** k / math.factorial(k)) for k in range(8))
# Smaller entries of a plan would be denormal, and slow all that reads it; larger ones nothing bounds, without masses.
_NOTHING, _MOST = -126.0, 126.0

READ = ("anderson", "compiled", "fused", "kernel", "rates", "level")
"""The modules whose functions and constants are compiled."""

SOURCES = hashlib.sha256(b"".join((files("kantor.ot") / f"{name}.py").read_bytes() for name in READ)).hexdigest()[:12]
"""What they hold."""


def _compiler(*more: str) -> Callable[[Callable[..., Any]], Any]:
    # Sums may be taken in any order, as BLAS does.
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz", *more}}

    def wrap(function: Callable[..., Any]) -> Any:
        # What is kept goes by this name; of the files that it was made from Numba would look at the function's alone.
        function.__qualname__ += f"-{SOURCES}"
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # no folder that can be written to: every process compiles for itself
            return njit(**options)(function)

    return wrap


compiled = _compiler()
"""A function compiled when it is first called, and kept on disk for the processes to come."""

finite = _compiler("nnan", "ninf")
"""The same where no number can be anything but finite, without which minima are not taken side by side."""


@compiled
def _power(x):
    """``2^x`` for ``|x| <= 1/2``, float32."""
    return _P0 + x * (_P1 + x * (_P2 + x * (_P3 + x * (_P4 + x * (_P5 + x * (_P6 + x * _P7))))))


@compiled
def fill(matrix, cost, f, g, factor):
    """``2^(f_i + g_j - factor cost_ij)`` clamped, float32; exponents are in the dtype of ``f`` and ``g``."""
    n, m = cost.shape
    low, high, half = f.dtype.type(_LOW), f.dtype.type(_HIGH), f.dtype.type(0.5)
    for i in range(n):
        bits = matrix[i].view(np.int32)
        for j in range(m):
            t = min(max(f[i] + g[j] - factor * cost[i, j], low), high)
            floored = np.floor(t + half)
            matrix[i, j] = _power(np.float32(t - floored))
            bits[j] += np.int32(floored) << np.int32(23)


@compiled
def _plans(out, cost, f, g, a, b, factor):
    problems, n, m = out.shape
    columns = np.empty(m)
    for k in range(problems):
        entries = cost[k if len(cost) > 1 else 0]
        for j in range(m):
            columns[j] = g[k, j] * factor + np.log2(np.float64(b[k, j]))
        for i in range(n):
            row, bits = f[k, i] * factor + np.log2(np.float64(a[k, i])), out[k, i].view(np.int32)
            for j in range(m):
                t = min(row + columns[j] - factor * entries[i, j], _MOST)
                held = t > _NOTHING
                floored = np.floor(max(t, _NOTHING) + 0.5)
                p = _power(np.float32(max(t, _NOTHING) - floored))
                out[k, i, j] = p if held else np.float32(0)
                bits[j] += (np.int32(floored) << np.int32(23)) if held else np.int32(0)


def plans(
    cost: Float[Tensor, "... n m"],
    a: Float[Tensor, "*batch n"],
    b: Float[Tensor, "*batch m"],
    f: Float[Tensor, "*batch n"],
    g: Float[Tensor, "*batch m"],
    epsilon: float,
) -> Float[Tensor, "*batch n m"]:
    """``transport.plan_of`` for a float32 cost on the CPU, detached."""
    n, m = cost.shape[-2:]
    batch = a.shape[:-1]
    out = cost.new_empty(*batch, n, m)
    arrays = []
    for x, size in ((cost, (n, m)), (f, (n,)), (g, (m,)), (a, (n,)), (b, (m,))):
        # What is compiled looks at no bounds: everything must have the shape that it is read in.
        shape = size if x is cost and cost.ndim == 2 else (*batch, *size)
        expanded = x if x.shape == shape else x.expand(shape)
        arrays.append(np.ascontiguousarray(expanded.detach().numpy().reshape(-1, *size)))
    _plans(out.view(-1, n, m).numpy(), *arrays, 1.0 / (epsilon * math.log(2)))
    return out
