"""One cost, many masses: value and gradient of 128 problems of 100 x 1,000 that share their cost.

``python benchmarks/ot_shared.py [--threads 2] [--out runs/bench/ot]``; epsilon .05 of the mean cost, L1 error 1e-3 in
every problem, masses that are softmax of N(0, 1) and of 4 N(0, 1) logits. Wall time, least of many calls.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from kantor import ot

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "bench" / "ot")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    matrix = ot.cost(torch.randn(100, 64), torch.randn(1000, 64), normalise="mean")
    rows = []
    for peak in (1.0, 4.0):
        logits = [(peak * torch.randn(128, size)).requires_grad_() for size in matrix.shape]

        def step(logits: list[torch.Tensor] = logits) -> ot.Transport:
            transport = ot.solve(matrix, *(part.softmax(-1) for part in logits), epsilon=0.05, tol=1e-3)
            torch.autograd.grad(transport.value.sum(), logits)
            return transport

        times = []
        for _ in range(options.calls):
            started = time.perf_counter()
            transport = step()
            times.append(1e3 * (time.perf_counter() - started))
        worst = transport.marginal_error.max().item()
        rows.append({"peak": peak, "ms": min(times), "error": worst, "passes": transport.iterations.max().item()})
        print(rows[-1])
    options.out.mkdir(parents=True, exist_ok=True)
    content = {"threads": options.threads, "rows": rows}
    (options.out / "ot-shared.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
