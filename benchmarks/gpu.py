"""Everything about transport that needs a GPU, in one command: ``python benchmarks/gpu.py [--out runs/bench/ot]``.

First the kernels are checked, by their plans in float64 and against float64 sweeps in the log domain; only then are
they timed, beside POT's batch solver, geomloss and flash-sinkhorn 0.4.1 where those are installed, at equal accuracy
(error in float64 from what was returned). The table names the GPU. Without one it says so and does nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# ot.py beside this file has the name of POT's package; its folder must not hide that.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]

import torch  # noqa: E402

from kantor import ot as kantor_ot  # noqa: E402

CELLS = [
    {"batch": batch, "n": n, "epsilon": epsilon, "tol": tol}
    for batch, n in ((64, 64), (256, 32), (1024, 64), (64, 256), (1, 512), (1, 1024), (1, 2048), (1, 4096))
    for epsilon in (0.05, 0.01)
    for tol in (1e-3, 1e-6)
]
REACHED = 1.1


def costs(cell: dict[str, Any], dimension: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(cell["batch"], cell["n"], dimension, generator=generator).cuda() for _ in range(2))
    return kantor_ot.cost(x, y, normalise="mean"), x, y


def error_of(plan: torch.Tensor) -> float:
    plan = plan.double()
    n, m = plan.shape[-2:]
    off = (plan.sum(-1) - 1 / n).abs().sum(-1) + (plan.sum(-2) - 1 / m).abs().sum(-1)
    return off.max().item()


def milliseconds(run: Callable[[], Any], repeats: int = 20) -> float:
    """Median by CUDA events, after a warm-up."""
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def variants(
    cell: dict[str, Any], matrix: torch.Tensor
) -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], Any]]]:
    epsilon, tol = cell["epsilon"], cell["tol"]
    yield (
        "kantor",
        lambda: kantor_ot.solve(matrix, epsilon=epsilon, tol=tol),
        lambda t: kantor_ot.plan_of(
            matrix.double(), t.problem.a.double(), t.problem.b.double(), *t.potentials, epsilon
        ),
    )
    if importlib.util.find_spec("ot") is not None:
        import ot.batch

        for method in ("sinkhorn", "log_sinkhorn"):

            def pot(method: str = method) -> Any:
                return ot.batch.solve_batch(matrix, epsilon, method=method, tol=tol / 10, max_iter=5000, grad="detach")

            yield f"POT batch {method}", pot, lambda r: r.plan
    if importlib.util.find_spec("geomloss") is not None:
        import geomloss.ot

        for iterations in (10, 100, 1000):

            def geom(iterations: int = iterations) -> Any:
                return geomloss.ot.solve_batch(matrix, reg=epsilon, max_iter=iterations)

            yield f"geomloss {iterations}", geom, lambda r: r.plan


def flash(
    cell: dict[str, Any], matrix: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], Any]]]:
    """flash-sinkhorn works on points, forms no cost, and returns potentials in those points' own units."""
    # A batch has one epsilon in the points' units, and here each problem's cost is divided by its own mean.
    if cell["batch"] > 1 or importlib.util.find_spec("flash_sinkhorn") is None:
        return
    import flash_sinkhorn

    scale = kantor_ot.cost(x[0], y[0]).mean().item()
    epsilon = cell["epsilon"] * scale
    for backend in ("symmetric", "alternating"):
        loss = flash_sinkhorn.SamplesLoss(
            "sinkhorn",
            potentials=True,
            debias=False,
            backend=backend,
            use_epsilon_scaling=False,
            eps=epsilon,
            n_iters=2000,
            threshold=cell["tol"] / 10,
            allow_tf32=False,
            last_extrapolation=False,
        )

        def plan(found: Any) -> torch.Tensor:
            f, g = (potential.double().reshape(-1) / scale for potential in found)
            exponents = (f[:, None] + g[None, :] - matrix[0].double()) / cell["epsilon"]
            return (exponents.exp() / exponents.numel())[None]

        yield f"flash-sinkhorn {backend}", lambda loss=loss: loss(x[0], y[0]), plan


def check() -> list[dict[str, Any]]:
    """Plans in float64 from the GPU's potentials, and their costs beside log-domain sweeps'; some masses are zero."""
    found = []
    for batch, n, m in ((20, 16, 33), (16, 200, 256), (1, 700, 512), (1, 1, 9)):
        generator = torch.Generator().manual_seed(1)
        x, y = (torch.randn(batch, k, 8, generator=generator).cuda() for k in (n, m))
        a = torch.rand(batch, n, generator=generator).cuda()
        if n > 2:
            a[:, 1] = 0
        a = a / a.sum(-1, keepdim=True)
        matrix = kantor_ot.cost(x, y, normalise="mean")
        for epsilon, tol in ((0.05, 1e-3), (0.05, 1e-5), (0.01, 1e-4), (0.001, 1e-4)):
            fast = kantor_ot.solve(matrix, a, None, epsilon, tol)
            slow = kantor_ot.solve(matrix.double(), a.double(), None, epsilon, tol / 100, method="sinkhorn")
            apart = torch.where(slow.converged, (fast.cost.double() - slow.cost).abs(), 0.0).max().item()
            problem = fast.problem
            plan = kantor_ot.plan_of(matrix.double(), problem.a.double(), problem.b.double(), *fast.potentials, epsilon)
            off = (plan.sum(-1) - problem.a).abs().sum(-1) + (plan.sum(-2) - problem.b).abs().sum(-1)
            error, converged = off.max().item(), bool(fast.converged.all())
            found.append(
                {
                    "shape": [batch, n, m],
                    "epsilon": epsilon,
                    "tol": tol,
                    "converged": converged,
                    "error": error,
                    "cost apart": apart,
                    "references": int(slow.converged.sum()),
                    "right": converged and error <= REACHED * tol and apart < 1e-4 + 2 * tol,
                }
            )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "bench" / "ot")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU here: nothing was checked or timed.")
        return 1
    checked = check()
    for result in checked:
        print(result)
    if not all(result["right"] for result in checked):
        print("The GPU's results are wrong: nothing was timed.")
        return 1
    name = torch.cuda.get_device_name()
    lines = [f"# Transport on {name}", "", "| cell | solver | ms | error | reached |", "|---|---|---|---|---|"]
    rows = []
    for cell in CELLS:
        matrix, x, y = costs(cell)
        label = f"{cell['batch']} of {cell['n']}, eps {cell['epsilon']:g}, tol {cell['tol']:g}"
        for solver, run, plan in [*variants(cell, matrix), *flash(cell, matrix, x, y)]:
            try:
                error = error_of(plan(run()))
                row = {"cell": label, "solver": solver, "ms": milliseconds(run), "error": error}
            except Exception as problem:
                row = {"cell": label, "solver": solver, "ms": None, "error": None, "failed": repr(problem)[:200]}
            rows.append(row)
            if row["ms"] is None:
                lines.append(f"| {label} | {solver} | failed | | no |")
                continue
            reached = error <= REACHED * cell["tol"]
            lines.append(f"| {label} | {solver} | {row['ms']:.3f} | {error:.1e} | {'yes' if reached else 'no'} |")
            print(lines[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu.md").write_text("\n".join(lines) + "\n")
    (options.out / "gpu.json").write_text(json.dumps({"gpu": name, "checks": checked, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
