"""One peer of the transport benchmark, run alone in a process of one thread.

``python benchmarks/ot_peers.py PEER`` reads cells, a line of JSON each, solves them with the peer's variants, and
writes a line of JSON for each: time (process CPU, median), passes where the peer says, and the plan's L1 marginal error
in float64. A variant that has failed on one seed cannot be the peer's best, and is not run on the others; nor is the
stricter stop of a variant whose looser one has reached the tolerance.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Solve = Callable[[], Any]
Variant = tuple[str, Solve, Callable[[Any], tuple[np.ndarray, float]]]
# A peer has reached a tolerance when its error is within this factor of it.
REACHED = 1.1
# Seconds of calls that a time is the median of, where calls are short.
LEAST_SECONDS = 0.25
# Up to this tolerance float32 may be what a peer fails by; then it is given the cost in float64 besides.
WIDE_UP_TO = 1e-6
# Entries of the largest cost of which it is given so to each of its methods; of larger ones to its first, the fastest.
WIDE_ENTRIES = 2**18
# Seconds that one call may take, by a generous estimate of a sweep (nanoseconds an entry), and its most sweeps.
CALL_LIMIT, SWEEP_LOG, SWEEP_KERNEL, MOST_SWEEPS = 20.0, 25.0, 2.0, 5000


def sweeps(cell: dict[str, Any], nanoseconds: float) -> int:
    """How many sweeps a peer is given."""
    entries = cell["n"] * cell["m"] * cell.get("batch", 1)
    return int(min(MOST_SWEEPS, CALL_LIMIT / (1e-9 * nanoseconds * entries)))


def features(kind: str, n: int, m: int, dimension: int, seed: int) -> np.ndarray:
    """Squared distances of Gaussian features over their mean, float32.

    near-permutation: one set is the other in another order, with noise of .8 of its spread.
    """
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, dimension)), rng.standard_normal((m, dimension))
    if kind == "near-permutation":
        k = min(n, m)
        y[:k] = x[rng.permutation(n)[:k]] + 0.8 * rng.standard_normal((k, dimension))
    cost = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    return (cost / cost.mean()).astype(np.float32)


def problem(cell: dict[str, Any], seed: int) -> np.ndarray:
    """The cell's cost, ``[n, m]`` or ``[batch, n, m]``."""
    make = [
        features(cell["kind"], cell["n"], cell["m"], cell["dimension"], 1000 * seed + k)
        for k in range(cell.get("batch", 1))
    ]
    return np.stack(make) if "batch" in cell else make[0]


def plan_of(f: Any, g: Any, cost: np.ndarray, epsilon: float) -> np.ndarray:
    """The plan of float64 potentials in kantor's convention, for uniform masses."""
    f, g = np.asarray(f, np.float64), np.asarray(g, np.float64)
    n, m = cost.shape[-2:]
    return np.exp((f[..., :, None] + g[..., None, :] - cost.astype(np.float64)) / epsilon) / (n * m)


def error_of(plan: np.ndarray) -> float:
    """The worst L1 marginal error over the problems of a batch, in float64."""
    plan = np.asarray(plan, np.float64)
    n, m = plan.shape[-2:]
    off = np.abs(plan.sum(-1) - 1 / n).sum(-1) + np.abs(plan.sum(-2) - 1 / m).sum(-1)
    return float(np.max(np.where(np.isfinite(off), off, 2.0)))


def kantor(cell: dict[str, Any], cost: np.ndarray) -> Iterator[Variant]:
    import torch

    from kantor import ot

    torch.set_num_threads(1)
    epsilon, tol = cell["epsilon"], cell["tol"]
    given = torch.from_numpy(cost)

    def finish(transport: Any) -> tuple[np.ndarray, float]:
        assert transport.potentials is not None
        return plan_of(*transport.potentials, cost, epsilon), float(transport.iterations.double().mean())

    if cell.get("gradient"):

        def gradient() -> Any:
            matrix = given.clone().requires_grad_()
            transport = ot.solve(matrix, epsilon=epsilon, tol=tol)
            transport.value.backward()
            return transport

        yield "auto, envelope", gradient, finish
    else:
        yield "auto", lambda: ot.solve(given, epsilon=epsilon, tol=tol), finish


def both(methods: tuple[str, ...], cost: np.ndarray, tol: float) -> Iterator[tuple[str, str, np.ndarray]]:
    """Methods, what their names end in, and the cost: in float32, and where that may not do in float64."""
    yield from ((method, "", cost) for method in methods)
    if tol <= WIDE_UP_TO:
        wide = methods if cost.size <= WIDE_ENTRIES else methods[:1]
        yield from ((method, ", float64", cost.astype(np.float64)) for method in wide)


def pot(cell: dict[str, Any], cost: np.ndarray) -> Iterator[Variant]:
    import ot
    import torch

    torch.set_num_threads(1)
    epsilon, tol = cell["epsilon"], cell["tol"]
    if cell.get("gradient"):
        matrix = torch.from_numpy(cost).requires_grad_()

        def envelope() -> Any:
            matrix.grad = None
            result = ot.solve(
                matrix, reg=epsilon, reg_type="KL", grad="envelope", tol=tol, max_iter=sweeps(cell, SWEEP_LOG)
            )
            result.value.backward()
            return result

        yield "ot.solve, envelope", envelope, lambda r: (r.plan.detach().numpy(), float("nan"))
        return
    if "batch" in cell:
        import ot.batch

        for method, suffix, matrices in both(("sinkhorn", "log_sinkhorn"), cost, tol):
            given = torch.from_numpy(matrices)

            def batch(method: str = method, given: Any = given) -> Any:
                most = sweeps(cell, SWEEP_LOG if method == "log_sinkhorn" else SWEEP_KERNEL)
                return ot.batch.solve_batch(given, epsilon, method=method, tol=tol / 10, max_iter=most, grad="detach")

            yield f"batch {method}{suffix}", batch, lambda r: (r.plan.numpy(), float("nan"))
        return
    for method, suffix, matrix in both(("sinkhorn", "sinkhorn_stabilized", "sinkhorn_log"), cost, tol):
        for stop in (tol, tol / 10):

            def single(method: str = method, matrix: Any = matrix, stop: float = stop) -> Any:
                most = sweeps(cell, SWEEP_LOG if method == "sinkhorn_log" else SWEEP_KERNEL)
                a, b = (np.full(k, 1 / k, matrix.dtype) for k in matrix.shape)
                return ot.sinkhorn(a, b, matrix, epsilon, method=method, stopThr=stop, numItermax=most, log=True)

            def finish(result: Any) -> tuple[np.ndarray, float]:
                log = result[1]
                if "log_u" in log or "logu" in log:
                    logs = [log.get(f"log_{side}", log.get(f"log{side}")) for side in "uv"]
                else:
                    logs = [np.log(np.asarray(log[side], np.float64)) for side in "uv"]
                # Its plan is u K v. The one it returns lacks what underflowed in its K, which the masses do not show.
                f, g = (epsilon * (np.asarray(x, np.float64) + np.log(x.size)) for x in logs)
                return plan_of(f, g, cost, epsilon), float(log.get("niter", float("nan")))

            yield f"{method}{suffix}, stop {stop:g}", single, finish


def ott(cell: dict[str, Any], cost: np.ndarray) -> Iterator[Variant]:
    import jax
    import jax.numpy as jnp
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import acceleration, sinkhorn

    epsilon, tol = cell["epsilon"], cell["tol"]
    ways: dict[str, dict[str, Any]] = {
        "kernel": {"lse_mode": False},
        "log": {"lse_mode": True},
        "log, Anderson": {"lse_mode": True, "anderson": acceleration.AndersonAcceleration(memory=5)},
    }
    for way, suffix, matrices in both(tuple(ways), cost, tol):
        jax.config.update("jax_enable_x64", matrices.dtype == np.float64)
        name, options, given = way + suffix, ways[way], jnp.asarray(matrices)
        most = sweeps(cell, SWEEP_LOG if options["lse_mode"] else SWEEP_KERNEL)
        solver = sinkhorn.Sinkhorn(threshold=tol, max_iterations=most, **options)

        def solve(matrix: Any, solver: Any = solver) -> Any:
            return solver(linear_problem.LinearProblem(geometry.Geometry(cost_matrix=matrix, epsilon=epsilon)))

        def finish(out: Any) -> tuple[np.ndarray, float]:
            # ott's potentials include the masses' logarithms.
            n, m = cost.shape[-2:]
            f, g = (np.asarray(x, np.float64) for x in out)
            return plan_of(f + epsilon * np.log(n), g + epsilon * np.log(m), cost, epsilon), float("nan")

        if cell.get("gradient"):

            def value(matrix: Any, solve: Any = solve) -> Any:
                out = solve(matrix)
                return out.reg_ot_cost, (out.f, out.g)

            run = jax.jit(jax.value_and_grad(value, has_aux=True))
            yield f"{name}, gradient", lambda run=run, given=given: jax.block_until_ready(run(given))[0][1], finish
            continue

        def potentials(matrix: Any, solve: Any = solve) -> Any:
            out = solve(matrix)
            return out.f, out.g

        run = jax.jit(jax.vmap(potentials) if "batch" in cell else potentials)
        yield name, lambda run=run, given=given: jax.block_until_ready(run(given)), finish


def geomloss(cell: dict[str, Any], cost: np.ndarray) -> Iterator[Variant]:
    import geomloss.ot
    import torch

    torch.set_num_threads(1)
    if cell.get("gradient"):
        return
    given = torch.from_numpy(cost)
    solve = geomloss.ot.solve_batch if "batch" in cell else geomloss.ot.solve
    for iterations in (10, 100, 1000):

        def run(iterations: int = iterations) -> Any:
            with torch.no_grad():
                return solve(given, reg=cell["epsilon"], max_iter=iterations)

        yield f"{iterations} iterations", run, lambda r: (r.plan.numpy(), float("nan"))


PEERS = {"kantor": kantor, "calls": kantor, "pot": pot, "ott": ott, "geomloss": geomloss}


def measure(variant: Variant, tol: float, best: float) -> dict[str, Any]:
    """The variant's error and, where it is small enough, its median time over repeated calls.

    Args:
        variant: name, call and what turns the result into a plan.
        tol: the error to reach.
        best: the peer's best time so far, in ms; what is three times slower at the first call is not timed again.
    """
    name, run, finish = variant
    run()  # compiles, and fills caches
    started = time.process_time()
    result = run()
    first = time.process_time() - started
    plan, passes = finish(result)
    error = error_of(plan)
    times = [first]
    if error <= REACHED * tol and 1e3 * first < 3 * best:
        fewest = 3 if first > 0.5 else 7 if first > 0.02 else 25
        # What else a machine does slows it for some hundredths of a second, which the median must outlast.
        while len(times) <= fewest or (sum(times) < LEAST_SECONDS and len(times) < 5_000):
            started = time.process_time()
            run()
            times.append(time.process_time() - started)
    return {"variant": name, "ms": 1e3 * statistics.median(times), "error": error, "passes": passes}


def run_cell(peer: str, cell: dict[str, Any]) -> list[dict[str, Any]]:
    """All seeds and variants of a cell."""
    results: list[dict[str, Any]] = []
    failed: set[str] = set()
    for seed in range(cell["seeds"]):
        cost = problem(cell, seed)
        reached: set[str] = set()
        best = float("inf")
        for variant in PEERS[peer](cell, cost):
            name = variant[0]
            # "sinkhorn, stop 1e-4" is the stricter "sinkhorn, stop 1e-3"; geomloss's variants are one with more sweeps.
            family = peer if peer == "geomloss" else name.partition(", stop")[0]
            if name in failed or family in reached:
                continue
            try:
                found = measure(variant, cell["tol"], best)
            except Exception as error:
                found = {"variant": name, "ms": None, "error": None, "passes": None, "failed": repr(error)[:200]}
            results.append({"cell": cell["name"], "seed": seed, **found})
            if found["error"] is not None and found["error"] <= REACHED * cell["tol"]:
                reached.add(family)
                best = min(best, found["ms"])
            else:
                failed.add(name)
    return results


def main() -> None:
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    for line in sys.stdin:
        print(json.dumps(run_cell(sys.argv[1], json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
