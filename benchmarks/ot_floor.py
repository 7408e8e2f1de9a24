"""How far a solve is from its floor: its sweeps at the price of a bare sweep, and one exponential of the cost.

``python benchmarks/ot_floor.py [--out runs/bench/ot]``, one thread. Gaussian costs of 512 to 4,096 points, epsilon
.05 of the mean cost, tolerance 1e-3. A sweep is ``K v`` and ``K^T u`` by NumPy in float32, each a pass over the kernel;
the exponential is NumPy's of as many float32 entries, written to an array that is there. Wall time, least of many.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kantor import ot

HERE = Path(__file__).resolve().parent
SIZES = (512, 1024, 2048, 4096)


def least(call: Callable[[], object], calls: int) -> float:
    """Milliseconds of the fastest call."""
    best = math.inf
    for _ in range(calls):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return 1e3 * best


def measured(n: int, epsilon: float, tol: float) -> dict[str, float]:
    """A solve beside what it is made of."""
    torch.manual_seed(n)
    cost = ot.cost(torch.randn(n, 64), torch.randn(n, 64), normalise="mean")
    kernel, v = np.exp(-cost.numpy() / 0.5), np.ones(n, np.float32)
    out, exponents = np.empty_like(kernel), -cost.numpy()
    calls = max(5, 2**26 // n**2)
    transport = ot.solve(cost, epsilon=epsilon, tol=tol)
    sweeps = transport.iterations.item()
    row = {
        "n": n,
        "sweeps": sweeps,
        "solve": least(lambda: ot.solve(cost, epsilon=epsilon, tol=tol), calls),
        "sweep": least(lambda: (np.dot(kernel, v), np.dot(v, kernel)), calls),
        "exponential": least(lambda: np.exp(exponents, out=out), calls),
        "error": transport.marginal_error.item(),
    }
    row["ratio"] = row["solve"] / (sweeps * row["sweep"] + row["exponential"])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epsilon", type=float, default=0.05)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "bench" / "ot")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for n in SIZES:
        rows.append(measured(n, options.epsilon, options.tol))
        print({name: round(value, 6) for name, value in rows[-1].items()}, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    content = {"epsilon": options.epsilon, "tol": options.tol, "rows": rows}
    (options.out / "ot-floor.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
