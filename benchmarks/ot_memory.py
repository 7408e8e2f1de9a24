"""What value and gradient of a solve take beside the cost: the peak of the process's memory, in cost matrices.

``python benchmarks/ot_memory.py [--out runs/bench/ot]``, Linux (``/proc``). Gaussian costs of 1,024 to 4,096 points,
float32, tolerance 1e-4 as in the grid's cells of value + gradient. One matrix of the peak is the gradient itself. A
process of its own for each size, after a small solve has loaded what is compiled.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from kantor import ot

HERE = Path(__file__).resolve().parent
SIZES = (1024, 2048, 4096)
EPSILONS = (0.05, 0.01)
TOL = 1e-4


def memory(field: str) -> int:
    """Bytes of a field of the kernel's account of this process: VmRSS is what it holds, VmHWM the most that it held."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status[field].split()[0])


def gaussian(n: int) -> torch.Tensor:
    """A cost of mean 1."""
    torch.manual_seed(n)
    return ot.cost(torch.randn(n, 64), torch.randn(n, 64), normalise="mean")


def measured(n: int, epsilon: float) -> dict[str, float]:
    """Memory of the cost and of value + gradient, in bytes."""
    torch.set_num_threads(1)
    small = gaussian(64).requires_grad_()
    ot.solve(small, epsilon=epsilon, tol=TOL).value.backward()
    cost = gaussian(n).requires_grad_()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the most that it held starts again from what it holds
    transport = ot.solve(cost, epsilon=epsilon, tol=TOL)
    transport.value.backward()
    extra = memory("VmHWM") - before
    size = cost.numel() * cost.element_size()
    error = transport.marginal_error.item()
    return {"n": n, "epsilon": epsilon, "cost": size, "extra": extra, "matrices": extra / size, "error": error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "bench" / "ot")
    options = parser.parse_args()
    rows = []
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # what is freed goes back at once: no later array hides in it
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        for n in SIZES:
            for epsilon in EPSILONS:
                rows.append(processes.submit(measured, n, epsilon).result())
                print(rows[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ot-memory.json").write_text(json.dumps({"tol": TOL, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
