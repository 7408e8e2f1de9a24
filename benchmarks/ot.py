"""Speed of entropic transport against POT, ott-jax and geomloss, at equal accuracy.

``python benchmarks/ot.py [--grid fixed|random] [--quick] [--out runs/bench/ot]`` runs each peer in a process of its
own with one thread, one peer after the other on each cell, takes of each its best variant that reaches the tolerance
(error in float64 from what it returned), and writes a table, a plot and a JSON. Peers: ``pip install
'kantor[bench]'``; a missing one is left out.

The JSON is written after every cell, and cells that it holds are not run again: a run that was stopped goes on.
``--again kantor`` forgets what a peer has there; ``--more pot`` runs it once more, for what a busy machine has spoiled;
``--only 64x64`` does so for some cells. ``python docs/speed.py runs/bench/ot`` makes the page of it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
# This file has the name of POT's package; its folder must not hide that.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
PEERS = {"kantor": "kantor", "calls": "kantor", "pot": "ot", "ott": "ott", "geomloss": "geomloss"}
# calls: kantor as it is without Numba. Neither is a peer of the other.
OWN = ("kantor", "calls")
# A peer has reached a tolerance when its error is within this factor of it.
REACHED = 1.1
# Seconds a peer takes for a cell and seed: for what it has to load, and by the entries of the cost. Peers that miss
# a tolerance spend all the sweeps they are given.
SECONDS = {
    "kantor": (0.3, 2e-6),
    "calls": (0.3, 2e-6),
    "pot": (1.0, 1.5e-5),
    "ott": (3.0, 1.5e-5),
    "geomloss": (0.5, 1e-5),
}


# Entries of the largest cost a peer is given: geomloss takes over a thousand times as long as others at 1,024 points.
LARGEST = {"geomloss": 2**20}


def given(peer: str, cell: dict[str, Any]) -> bool:
    """Whether the peer is run on the cell."""
    return entries(cell) <= LARGEST.get(peer, math.inf)


def fixed_grid(seeds: int) -> list[dict[str, Any]]:
    """The grid that was stated before tuning."""
    cells = []
    for epsilon in (0.05, 0.01):
        for tol in (1e-3, 1e-6):
            common = {"epsilon": epsilon, "tol": tol, "dimension": 64, "seeds": seeds}
            for kind in ("gaussian", "near-permutation"):
                cells += [{"n": n, "m": n, "kind": kind, **common} for n in (64, 128, 256, 512, 1024, 2048)]
            batches = ((64, 64), (256, 32), (16, 256))
            cells += [{"n": n, "m": n, "batch": k, "kind": "gaussian", **common} for k, n in batches]
            cells.append({"n": 512, "m": 2048, "kind": "gaussian", **common})
        cells += [
            {
                "n": n,
                "m": n,
                "kind": "gaussian",
                "gradient": True,
                "epsilon": epsilon,
                "tol": 1e-4,
                "dimension": 64,
                "seeds": seeds,
            }
            for n in (256, 1024)
        ]
    return named(cells)


def entries(cell: dict[str, Any]) -> int:
    return cell["n"] * cell["m"] * cell.get("batch", 1)


def expected(peer: str, cells: list[dict[str, Any]]) -> float:
    """Seconds that the peer will take, roughly."""
    start, entry = SECONDS[peer]
    return sum(start + entry * entries(cell) * (0.4 + 0.3 * cell["seeds"]) for cell in cells)


def random_grid(seeds: int, count: int = 16) -> list[dict[str, Any]]:
    """Sizes, dimensions and epsilons that nobody chose."""
    rng = np.random.default_rng(2026)
    cells = []
    for _ in range(count):
        n, m = (int(2 ** rng.uniform(5, 11)) for _ in range(2))
        cells.append(
            {
                "n": n,
                "m": m,
                "kind": str(rng.choice(["gaussian", "near-permutation"])),
                "dimension": int(2 ** rng.uniform(2, 9)),
                "epsilon": float(f"{10 ** rng.uniform(-2.3, -0.7):.2g}"),
                "tol": float(rng.choice([1e-3, 1e-6])),
                "seeds": seeds,
            }
        )
    return named(cells)


def named(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each cell the name it has in the table."""
    for cell in cells:
        size = f"{cell['n']}x{cell['m']}"
        size = f"{cell['batch']} of {size}" if "batch" in cell else size
        what = "value + gradient" if cell.get("gradient") else cell["kind"]
        cell["name"] = f"{what} {size}, d {cell['dimension']}, eps {cell['epsilon']:g}, tol {cell['tol']:g}"
    return cells


class Peer:
    """A peer in a process of its own, of one thread, which waits between the cells that it is handed."""

    def __init__(self, name: str):
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(threads, "1")}
        if name == "calls":
            environment["NUMBA_DISABLE_JIT"] = "1"
        environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        command = [sys.executable, "-P", str(HERE / "ot_peers.py"), name]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, cell: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The results on a cell; None where the process has ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(cell), file=self.process.stdin, flush=True)
            for line in self.process.stdout:
                if line.startswith("["):
                    return json.loads(line)
        return None


def summarise(cells: list[dict[str, Any]], results: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """For each cell: every peer's best variant that reached the tolerance in every seed, and the ratio."""
    rows = []
    for cell in cells:
        row: dict[str, Any] = {"cell": cell["name"], "tol": cell["tol"], "peers": {}}
        # A cell that a peer was not given the time for says nothing about the best peer.
        row["unseen"] = [
            peer for peer in results if given(peer, cell) and cell["name"] not in {r["cell"] for r in results[peer]}
        ]
        for peer, found in results.items():
            variants: dict[str, list[dict[str, Any]]] = {}
            for result in found:
                if result["cell"] == cell["name"]:
                    variants.setdefault(result["variant"], []).append(result)
            reached = [
                {
                    "variant": name,
                    "ms": statistics.median(r["ms"] for r in runs),
                    "spread": [min(r["ms"] for r in runs), max(r["ms"] for r in runs)],
                    "error": max(r["error"] for r in runs),
                    "passes": statistics.median(r["passes"] for r in runs),
                    "takes": max(r.get("takes", 1) for r in runs),
                }
                for name, runs in variants.items()
                if all(r["error"] is not None and r["error"] <= REACHED * cell["tol"] for r in runs)
            ]
            if reached:
                row["peers"][peer] = min(reached, key=lambda r: r["ms"])
        others = {peer: best for peer, best in row["peers"].items() if peer not in OWN}
        if others:
            row["best_peer"] = min(others, key=lambda peer: others[peer]["ms"])
        if others and "kantor" in row["peers"] and not row["unseen"]:
            row["ratio"] = others[row["best_peer"]]["ms"] / row["peers"]["kantor"]["ms"]
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| cell | kantor ms (spread) | passes | error | best peer | its ms | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        mine, other = row["peers"].get("kantor"), row["peers"].get(row.get("best_peer"))
        left = "not reached | |"
        if mine:
            low, high = mine["spread"]
            left = f"{mine['ms']:.2f} ({low:.2f}-{high:.2f}) | {mine['passes']:.0f} | {mine['error']:.1e}"
        right = f"{row['best_peer']}, {other['variant']} | {other['ms']:.2f}" if other else "none reaches it |"
        if row["unseen"]:
            right = f"not run in time: {', '.join(row['unseen'])} |"
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else "-"
        lines.append(f"| {row['cell']} | {left} | {right} | {ratio} |")
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    reached = sum("kantor" in row["peers"] for row in rows)
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        lines += ["", f"Geometric mean of {len(ratios)} ratios {mean:.2f}, lowest {min(ratios):.2f}."]
    lines += [f"kantor reaches the tolerance in {reached} of {len(rows)} cells."]
    return "\n".join(lines) + "\n"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Ratios, one bar per cell."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text as text: a quarter of the size, and it can be searched
    matplotlib.rcParams["svg.hashsalt"] = "kantor"
    import matplotlib.pyplot as plt

    held = [row for row in rows if "ratio" in row]
    figure, axes = plt.subplots(figsize=(8, 0.22 * len(held) + 1))
    axes.barh([row["cell"] for row in held], [row["ratio"] for row in held], color="#3b6ea5")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="best peer / kantor, process CPU time, one thread")
    axes.tick_params(labelsize=6)
    axes.invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def save(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", choices=["fixed", "random"], default="fixed")
    parser.add_argument("--quick", action="store_true", help="one seed and nothing above 512")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--only", default="", help="cells whose names hold one of these; others stand")
    parser.add_argument("--again", default="", help="peers whose results are thrown away first")
    parser.add_argument("--more", default="", help="peers that are run once more; of two times the lower is kept")
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "bench" / "ot")
    options = parser.parse_args()
    seeds = 1 if options.quick else options.seeds
    cells = fixed_grid(seeds) if options.grid == "fixed" else random_grid(seeds)
    if options.quick:
        cells = [cell for cell in cells if cell["n"] <= 512 and cell["m"] <= 512]
    cells.sort(key=entries)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"ot-{options.grid}{'-quick' if options.quick else ''}.json"
    kept = json.loads(path.read_text())["runs"] if path.exists() else {}
    peers = [peer for peer in options.peers.split(",") if importlib.util.find_spec(PEERS[peer])]
    for peer in set(options.peers.split(",")) - set(peers):
        print(f"{peer} is not installed and left out: pip install 'kantor[bench]'")
    only = {cell["name"] for cell in cells if any(text in cell["name"] for text in options.only.split(","))}
    dropped = (options.again + "," + options.more).split(",")
    runs = {
        peer: [result for result in found if peer not in dropped or result["cell"] not in only]
        for peer, found in kept.items()
    }
    before = {
        (peer, result["cell"], result["seed"], result["variant"]): result
        for peer in options.more.split(",")
        for result in kept.get(peer, [])
        if result.get("ms")
    }
    missing = {}
    for peer in peers:
        held = {(result["cell"], result["seed"]) for result in runs.setdefault(peer, [])}
        # A cell is whole when its last seed is there, or nothing was left to try on it.
        missing[peer] = [
            cell
            for cell in cells
            if cell["name"] in only
            and given(peer, cell)
            and not any((cell["name"], seed) in held for seed in range(cell["seeds"]))
        ]
    minutes = sum(expected(peer, missing[peer]) for peer in peers) / 60
    count = sum(map(len, missing.values()))
    print(f"{count} cells to run, about {minutes:.0f} minutes on an idle core; {path} holds the others", flush=True)
    about = f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, one thread"
    content = {"machine": about, "load": os.getloadavg(), "seeds": seeds, "rows": summarise(cells, runs), "runs": runs}
    started = time.monotonic()
    running = {peer: Peer(peer) for peer in peers if missing[peer]}
    try:
        # Cell by cell, so that a ratio is of times taken close together: a machine is not as fast at every hour.
        for cell in cells:
            for peer in [peer for peer in running if cell in missing[peer]]:
                found = running[peer].run(cell)
                if found is None:
                    print(f"{peer} has ended with {running.pop(peer).process.wait()} on {cell['name']}", flush=True)
                    continue
                for result in found:
                    earlier = before.get((peer, result["cell"], result["seed"], result["variant"]), {})
                    result["takes"] = 1 + earlier.get("takes", 0)
                    if result["ms"]:
                        result["ms"] = min(result["ms"], earlier.get("ms", math.inf))
                # Nothing where the peer has no way to do this.
                runs[peer] += found or [{"cell": cell["name"], "seed": 0, "variant": "none", "error": None}]
                content |= {"load": os.getloadavg(), "rows": summarise(cells, runs)}
                save(path, content)
                print(f"{(time.monotonic() - started) / 60:5.1f} min, {peer}: {cell['name']}", flush=True)
    finally:
        for peer in running.values():
            peer.process.terminate()
    save(path, content)
    how = f"{about}. Process CPU time, median of calls, then of seeds."
    page = f"# Transport, {options.grid} grid\n\n{how}\n\n{table(content['rows'])}"
    path.with_suffix(".md").write_text(page)
    plot(content["rows"], path.with_suffix(".svg"))
    print(page)


if __name__ == "__main__":
    main()
