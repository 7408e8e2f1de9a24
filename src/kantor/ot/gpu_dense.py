"""Both products of a sweep in one pass over a large kernel matrix on a GPU (Triton).

A program owns some rows: it sums them against the column scalings, divides the masses by the sums, and reads the same
rows again, now from the cache, for what they send to the columns. Import this only where Triton is installed.
"""

from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from jaxtyping import Float
from torch import Tensor


def _pass(matrix, wb, a, kv, columns, n, m, rows_block: tl.constexpr, columns_block: tl.constexpr):
    k, block = tl.program_id(1), tl.program_id(0)
    i = block * rows_block + tl.arange(0, rows_block)
    has_i = i < n
    matrix += k * n * m
    sums = tl.zeros([rows_block], dtype=tl.float32)
    for start in range(0, m, columns_block):
        j = start + tl.arange(0, columns_block)
        here = has_i[:, None] & (j < m)[None, :]
        part = tl.load(matrix + i[:, None] * m + j[None, :], mask=here, other=0.0)
        sums += tl.sum(part * tl.load(wb + k * m + j, mask=j < m, other=0.0)[None, :], 1)
    sums = tl.where(has_i, sums, 1.0)
    tl.store(kv + k * n + i, sums, mask=has_i)
    ua = tl.load(a + k * n + i, mask=has_i, other=0.0) / sums
    for start in range(0, m, columns_block):
        j = start + tl.arange(0, columns_block)
        here = has_i[:, None] & (j < m)[None, :]
        part = tl.load(matrix + i[:, None] * m + j[None, :], mask=here, other=0.0)
        tl.atomic_add(columns + k * m + j, tl.sum(part * ua[:, None], 0), mask=j < m)


_launch: Any = triton.jit(_pass)


def both_products(
    matrix: Float[Tensor, "problems n m"], wb: Float[Tensor, "problems m"], a: Float[Tensor, "problems n"]
) -> tuple[Float[Tensor, "problems n"], Float[Tensor, "problems m"]]:
    """``(K wb, K^T (a / K wb))`` for float32 kernels."""
    problems, n, m = matrix.shape
    matrix, wb, a = matrix.contiguous(), wb.contiguous(), a.contiguous()
    kv, columns = torch.empty_like(a), torch.zeros_like(wb)
    rows_block = 16
    grid = (triton.cdiv(n, rows_block), problems)
    _launch[grid](matrix, wb, a, kv, columns, n, m, rows_block, min(256, triton.next_power_of_2(m)), num_warps=4)
    return kv, columns
