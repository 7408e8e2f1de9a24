"""Time of a solve over what its products with the kernel must cost, as n grows.

``python benchmarks/ot_floor.py [--out docs/benchmarks]``; one thread. The floor of a solve is its passes times one
measured pass (``K v``, then ``K^T u``) plus one exponential of every entry, each at its fastest of many calls, as is
the solve. Passes are counted as the solver reports them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kantor import ot

HERE = Path(__file__).resolve().parent
SIZES = (512, 1024, 2048, 4096)


def least(call: Callable[[], object], seconds: float = 1.0) -> float:
    """The least CPU time of the calls that fit in these seconds, at least five, in ms."""
    call()
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - started < seconds and len(times) < 200):
        begun = time.thread_time()
        call()
        times.append(time.thread_time() - begun)
    return 1e3 * min(times)


def row(n: int, epsilon: float, tol: float) -> dict[str, float]:
    """One problem of Gaussian features, squared distances over their mean."""
    generator = torch.Generator().manual_seed(n)
    x, y = (torch.randn(n, 64, generator=generator) for _ in range(2))
    cost = ot.cost(x, y, normalise="mean")
    kernel, v = np.exp(-cost.numpy() / np.float32(epsilon)), np.full(n, 1 / n, np.float32)
    out = np.empty_like(kernel)

    def products() -> None:
        np.dot(np.dot(kernel, v), kernel)

    def exponential() -> None:
        np.exp(cost.numpy(), out=out)

    transport = ot.solve(cost, epsilon=epsilon, tol=tol)
    passes = int(transport.iterations)
    ms = least(lambda: ot.solve(cost, epsilon=epsilon, tol=tol))
    one, exp = least(products), least(exponential)
    return {
        "n": n,
        "epsilon": epsilon,
        "tol": tol,
        "ms": ms,
        "passes": passes,
        "pass_ms": one,
        "exp_ms": exp,
        "over": ms / (passes * one + exp),
        "error": transport.marginal_error.item(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "benchmarks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for epsilon in (0.05, 0.01):
        for n in SIZES:
            rows.append(row(n, epsilon, 1e-3))
            print(rows[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ot-floor.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
