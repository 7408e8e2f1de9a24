"""Many small problems on a GPU: one program solves one problem, all its sweeps inside (Triton).

The kernel matrix of a problem of up to 256 x 256 stays in registers from the first sweep to the last; global memory
sees the cost once per round and the potentials. Import this only where Triton is installed.
"""

from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from jaxtyping import Float, Int
from torch import Tensor

from kantor.ot.kernel import CEILING, FLOAT32_NOISE, FLOOR, GROWTH

LARGEST = 256
"""Rows and columns of the largest problem that one program holds."""


def _sweeps(
    cost,
    a,
    b,
    f,
    g,
    error,
    passes,
    n,
    m,
    epsilon,
    tol,
    most,
    floor,
    ceiling,
    growth,
    rows_block: tl.constexpr,
    columns_block: tl.constexpr,
):
    """A round: absorb the potentials, sweep until done or ``most``, write the potentials back."""
    k = tl.program_id(0)
    found = tl.load(error + k)
    if found > tol:
        i, j = tl.arange(0, rows_block), tl.arange(0, columns_block)
        has_i, has_j = i < n, j < m
        a_i = tl.load(a + k * n + i, mask=has_i, other=0.0)
        b_j = tl.load(b + k * m + j, mask=has_j, other=0.0)
        f_i = tl.load(f + k * n + i, mask=has_i, other=0.0)
        g_j = tl.load(g + k * m + j, mask=has_j, other=0.0)
        here = has_i[:, None] & has_j[None, :]
        entries = tl.load(cost + k * n * m + i[:, None] * m + j[None, :], mask=here, other=0.0)
        # Potentials are float64, so the exponents are; only the kernel is rounded.
        exponents = ((f_i[:, None] + g_j[None, :] - entries.to(tl.float64)) / epsilon).to(tl.float32)
        exponents = tl.minimum(tl.maximum(exponents, floor), ceiling)
        matrix = tl.where(here, tl.exp(exponents), 0.0)
        wb = b_j
        kv = tl.where(has_i, tl.sum(matrix * wb[None, :], 1), 1.0)
        columns = tl.where(has_j, tl.sum(matrix * (a_i / kv)[:, None], 0), 1.0)
        off = tl.sum(tl.abs(wb * columns - b_j), 0)
        spent = 1
        while (spent < most) & (off > tol):
            wb = b_j / columns
            kv = tl.where(has_i, tl.sum(matrix * wb[None, :], 1), 1.0)
            columns = tl.where(has_j, tl.sum(matrix * (a_i / kv)[:, None], 0), 1.0)
            off = tl.sum(tl.abs(wb * columns - b_j), 0)
            spent += 1
        # A column without mass follows from the others, by the c-transform.
        w = tl.where(has_j & (b_j > 0), wb / tl.where(b_j > 0, b_j, 1.0), 1.0 / columns)
        w = tl.where(has_j, w, 1.0)
        furthest = tl.maximum(tl.max(tl.maximum(w, 1.0 / w), 0), tl.max(tl.maximum(kv, 1.0 / kv), 0))
        # Clamped entries may hide in scalings that went far: another round absorbs them and looks again.
        off = tl.where(furthest < growth, off, tl.maximum(off, 2.0 * tol))
        tl.store(f + k * n + i, f_i - epsilon * tl.log(kv.to(tl.float64)), mask=has_i)
        tl.store(g + k * m + j, g_j + epsilon * tl.log(w.to(tl.float64)), mask=has_j)
        tl.store(error + k, off)
        tl.store(passes + k, tl.load(passes + k) + spent)


_launch: Any = triton.jit(_sweeps)


def solve_small(
    cost: Float[Tensor, "problems n m"],
    a: Float[Tensor, "problems n"],
    b: Float[Tensor, "problems m"],
    epsilon: float,
    tol: float,
    g: Float[Tensor, "problems m"] | None = None,
    rounds: int = 8,
    sweeps: int = 64,
) -> tuple[
    Float[Tensor, "problems n"], Float[Tensor, "problems m"], Float[Tensor, " problems"], Int[Tensor, " problems"]
]:
    """Float64 potentials, errors (as ``Batch`` reports them) and sweeps for float64 masses of total 1.

    Problems that are not done after ``rounds`` of ``sweeps`` come back with the error they have: Newton steps, which
    this has not, are then the better way.

    Args:
        cost: float32 or float64, ``n`` and ``m`` at most ``LARGEST``.
        a: masses of the rows.
        b: masses of the columns.
        epsilon: the regularisation.
        tol: L1 marginal error; the kernel is float32, so not below 1e-6.
        g: column potentials to start from.
        rounds: absorptions.
        sweeps: sweeps between them.
    """
    problems, n, m = cost.shape
    cost = cost.contiguous()
    start = torch.zeros_like(b) if g is None else g.clone()
    lowest = (cost - start.to(cost.dtype).unsqueeze(-2)).amin(-1).double()
    f, g = lowest.contiguous(), start.contiguous()
    masses = a.float().contiguous(), b.float().contiguous()
    error = torch.full((problems,), 2.0, dtype=torch.float32, device=cost.device)
    passes = torch.zeros(problems, dtype=torch.int32, device=cost.device)
    goal = tol - FLOAT32_NOISE
    options: dict[str, Any] = {
        "rows_block": triton.next_power_of_2(n),
        "columns_block": triton.next_power_of_2(m),
        "num_warps": 4 if n * m <= 64 * 64 else 16,
    }
    limits = FLOOR, CEILING, GROWTH
    for _ in range(rounds):
        _launch[(problems,)](cost, *masses, f, g, error, passes, n, m, epsilon, goal, sweeps, *limits, **options)
        if not bool((error > goal).any()):
            break
    return f, g, error.double() + FLOAT32_NOISE, passes.long()
