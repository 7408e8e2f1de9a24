"""Write docs/speed.md from what the transport benchmarks found.

python docs/speed.py           the page, from docs/benchmarks
python docs/speed.py FOLDER    first keep what the benchmarks left in FOLDER, in docs/benchmarks
"""

import json
import math
import shutil
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = HERE / "benchmarks"
GRIDS = {"fixed": "the grid that was stated before tuning", "random": "sizes, dimensions and epsilons drawn at random"}


def read(name: str) -> dict | None:
    path = BENCHMARKS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def keep(path: Path) -> None:
    """Copy what the page needs: every single run stays where it was measured."""
    if path.suffix != ".json":
        shutil.copy(path, BENCHMARKS)
        return
    content = json.loads(path.read_text())
    content.pop("runs", None)
    (BENCHMARKS / path.name).write_text(json.dumps(content, indent=1) + "\n")


def ratios(rows: list[dict]) -> list[float]:
    return [row["ratio"] for row in rows if "ratio" in row]


def geometric(values: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def mean(rows: list[dict]) -> str:
    found = ratios(rows)
    return f"{geometric(found):.2f} ({len(found)})" if found else "-"


def side(row: dict) -> int:
    """The smaller side of the cell's cost."""
    sizes = row["cell"].partition(",")[0].split()[-1]
    return min(map(int, sizes.split("x")))


def beside(rows: list[dict]) -> list[tuple[dict, dict]]:
    """Every row that has a best peer, and what that took."""
    return [(row, row["peers"][row["best_peer"]]) for row in rows if "best_peer" in row]


def targets() -> list[str]:
    """What was aimed at, beside what was measured."""
    content = read("ot-fixed")
    if content is None:
        return []
    rows = content["rows"]
    sharp = [row for row in rows if "eps 0.01," in row["cell"]]
    batches = [row for row in sharp if " of " in row["cell"]]
    gradients = [row for row in rows if row["cell"].startswith("value")]
    large = [
        row for row in sharp if " of " not in row["cell"] and not row["cell"].startswith("value") and side(row) >= 256
    ]
    reached = sum("kantor" in row["peers"] for row in rows)
    slow = [row for row in rows if row.get("ratio", math.inf) < 0.9]
    said = [
        ("geometric mean of best peer / kantor", ratios(rows), 3.0),
        ("the same at eps .01, n >= 256", ratios(large), 4.0),
        ("the same of batches at eps .01", ratios(batches), 7.0),
        ("the same of value + gradient", ratios(gradients), 2.5),
    ]
    lines = ["## Targets", "", "| what | target | measured | |", "|---|---|---|---|"]
    lines += [
        f"| {what} | {target:g} | {geometric(found):.2f} ({len(found)} cells) | {verdict(geometric(found) >= target)} |"
        for what, found, target in said
        if found
    ]
    calls = [other["ms"] / row["peers"]["calls"]["ms"] for row, other in beside(rows) if "calls" in row["peers"]]
    if calls:
        lines += [
            f"| geometric mean without the extra `fast` | 3 | {geometric(calls):.2f} ({len(calls)} cells) | "
            f"{verdict(geometric(calls) >= 3)} |"
        ]
    lines += [
        f"| lowest ratio of a cell | 0.9 | {min(ratios(rows)):.2f}; {len(slow)} of {len(ratios(rows))} are below | "
        f"{verdict(not slow)} |",
        f"| cells that converge | {len(rows)} | {reached} | {verdict(reached == len(rows))} |",
    ]
    if (small := read("ot-shared")) is not None:
        for row, most in zip(small["rows"], (12, 40), strict=True):
            lines += [
                f"| ms, shared cost, {row['peak']:g} N(0, 1) logits, {small['threads']} threads | {most} | "
                f"{row['ms']:.1f} | {verdict(row['ms'] <= most)} |"
            ]
    if (floor := read("ot-floor")) is not None:
        for row in floor["rows"]:
            lines += [
                f"| a solve over its floor, n = {row['n']:,} | 1.5 | {row['ratio']:.2f} | "
                f"{verdict(row['ratio'] <= 1.5)} |"
            ]
    if (memory := read("ot-memory")) is not None:
        most = max(row["matrices"] for row in memory["rows"])
        lines += [f"| memory of value + gradient beside the cost, in costs | 2 | {most:.2f} | {verdict(most <= 2)} |"]
    for path in sorted(BENCHMARKS.glob("ot-warm-*.json")):
        shares = {row["way"]: row["warm"] / row["cold"] for row in json.loads(path.read_text())["rows"]}
        for way, most in (("momentum .9", 0.5), ("momentum .99", 0.2)):
            lines += [
                f"| passes from the last potentials, share, {way}, {path.stem.removeprefix('ot-warm-')} | {most:g} | "
                f"{shares[way]:.2f} | {verdict(shares[way] <= most)} |"
            ]
    return [*lines, "", *bounds(rows)]


def bounds(rows: list[dict]) -> list[str]:
    """How it was measured, and what bounds it as far as it is known."""
    (small,) = [
        row for row in rows if row["cell"].startswith("near-permutation 64x64") and "0.01, tol 0.001" in row["cell"]
    ]
    own, other = small["peers"]["kantor"], small["peers"][small["best_peer"]]
    repeated = [row for row in rows if any(best.get("takes", 1) > 1 for best in row["peers"].values())]
    again = ""
    if repeated:
        most = max(best.get("takes", 1) for row in repeated for best in row["peers"].values())
        again = (
            f" {len(repeated)} cells were run again (`--only CELLS --more PEERS`), up to {most} times in all: a short "
            "call is doubled by a busy moment. Of such times the lower stands, for every peer."
        )
    return [
        "With the extra `fast`, which compiles transport for the CPU it runs on. POT is judged as the others are, by "
        "the plan of its potentials in float64; the one that it returns lacks what underflowed in its kernel, which "
        "marginals do not show. Peers take turns on each cell. Costs are float32, as a network's are; at 1e-6 "
        "peers get them in float64 too, since float32 may be what they fail by." + again,
        "",
        "What bounds it:",
        "",
        f"- Small single problems: the checks and what goes in and out of tensors are the fixed part of a call. At 64 "
        f"x 64 a near permutation at eps .01 takes {own['ms']:.3f} ms for {own['passes']:.0f} pass, and "
        f"{small['best_peer']} {other['ms']:.3f}.",
        "- Tolerance 1e-6: exponents are taken and the float32 kernel is summed in float64, at twice the price of "
        "float32.",
        "- Tolerance 1e-6 at eps .01: Newton steps, by NumPy's calls.",
        *_beside_calls(rows),
        *_growth(rows),
        "- Warm starts at momentum .99 on CIFAR-10: three passes, of which the first measures the start; a cold solve "
        "takes 14.",
        "- Without the extra, some 60 calls in a small solve, and mixing by calls on vectors in batches.",
        "",
    ]


def _beside_calls(rows: list[dict]) -> list[str]:
    """Where what is compiled loses to NumPy's calls."""
    both = [row for row in rows if {"kantor", "calls"} <= row["peers"].keys()]
    share = {row["cell"]: row["peers"]["calls"]["ms"] / row["peers"]["kantor"]["ms"] for row in both}
    slower = [cell for cell, ratio in share.items() if ratio < 0.95]
    if not slower:
        return []
    worst = min(slower, key=lambda cell: share[cell])
    return [
        f"- In {len(slower)} of {len(share)} cells the extra makes it slower: mixed sweeps are given up there for "
        f"Newton steps that NumPy's calls come to sooner. In {worst} the time without it is"
        f" {share[worst]:.2f} of that with it."
    ]


def _growth(rows: list[dict]) -> list[str]:
    """Passes at the smallest and the largest size, by kind, epsilon and tolerance."""
    lines = []
    for kind in ("gaussian", "near-permutation"):
        for ending in ("eps 0.05, tol 0.001", "eps 0.01, tol 0.001", "eps 0.05, tol 1e-06", "eps 0.01, tol 1e-06"):
            passes = [
                row["peers"]["kantor"]["passes"]
                for size in (64, 2048)
                for row in rows
                if row["cell"].startswith(f"{kind} {size}x{size},")
                and row["cell"].endswith(ending)
                and "kantor" in row["peers"]
            ]
            if len(passes) == 2 and passes[1] > 1.5 * passes[0]:
                lines.append(f"{kind} at {ending} ({passes[0]:.0f} to {passes[1]:.0f})")
    if not lines:
        return []
    return [f"- From 64 to 2,048 points passes grow by more than half for {'; '.join(lines)}; nowhere else."]


def verdict(met: bool) -> str:
    return "met" if met else "missed"


def floors() -> list[str]:
    content = read("ot-floor")
    if content is None:
        return []
    lines = ["## The floor", ""]
    lines += [
        f"A solve at eps {content['epsilon']:g} and tol {content['tol']:g}, beside its sweeps at the price of a bare "
        "one (`K v`, then `K^T u`) and one exponential of the cost; one thread, milliseconds.",
        "",
        "| n | sweeps | solve | a sweep | the exponential | solve / floor |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['n']:,} | {row['sweeps']} | {row['solve']:.2f} | {row['sweep']:.3f} | {row['exponential']:.2f} | "
        f"{row['ratio']:.2f} |"
        for row in content["rows"]
    ]
    return [*lines, ""]


def peaks() -> list[str]:
    content = read("ot-memory")
    if content is None:
        return []
    lines = ["## Memory of value + gradient", ""]
    lines += ["The peak of the process over what it held with the cost; float32. One cost is the gradient itself.", ""]
    lines += ["| n | epsilon | cost, MiB | extra, MiB | in costs |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['n']:,} | {row['epsilon']:g} | {row['cost'] / 2**20:.0f} | {row['extra'] / 2**20:.1f} | "
        f"{row['matrices']:.2f} |"
        for row in content["rows"]
    ]
    return [*lines, ""]


def grid(name: str) -> list[str]:
    content = read(f"ot-{name}")
    if content is None:
        return []
    rows = content["rows"]
    groups = {
        "all": rows,
        "eps .01": [row for row in rows if "eps 0.01," in row["cell"]],
        "batches": [row for row in rows if " of " in row["cell"]],
        "value + gradient": [row for row in rows if row["cell"].startswith("value")],
    }
    lines = [f"## {name.capitalize()}: {GRIDS[name]}", ""]
    lines += [
        f"{content['machine']}; process CPU time, medians of calls and of {content['seeds']} seeds. "
        f"{content.get('note', '')}".rstrip(),
        "",
    ]
    lines += ["| cells | geometric mean of best peer / kantor (cells with a peer) |", "|---|---|"]
    lines += [f"| {group} | {mean(members)} |" for group, members in groups.items() if members]
    reached = sum("kantor" in row["peers"] for row in rows)
    lines += [
        "",
        f"kantor reaches the tolerance in {reached} of {len(rows)} cells. A ratio needs a peer that does.",
        "",
    ]
    lines += [f"![The ratio of every cell](benchmarks/ot-{name}.svg)", ""]
    lines += [
        "| cell | kantor, ms | passes | without `fast`, ms | best peer | ms | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        mine, other = row["peers"].get("kantor"), row["peers"].get(row.get("best_peer"))
        own = f"{mine['ms']:.2f} | {mine['passes']:.0f}" if mine else "- | "
        calls = row["peers"].get("calls")
        own += f" | {calls['ms']:.2f}" if calls else " | -"
        peer = f"{row['best_peer']}, {other['variant']} | {other['ms']:.2f}" if other else "none reaches it | "
        lines.append(f"| {row['cell']} | {own} | {peer} | {row.get('ratio', math.nan):.2f} |".replace("nan", "-"))
    return [*lines, ""]


def shared() -> list[str]:
    content = read("ot-shared")
    if content is None:
        return []
    lines = ["## One cost, many masses", ""]
    lines += [f"128 problems of 100 x 1,000, value and gradient in the masses, {content['threads']} threads.", ""]
    lines += ["| logits | ms | L1 error | passes |", "|---|---|---|---|"]
    lines += [
        f"| {row['peak']:g} N(0, 1) | {row['ms']:.1f} | {row['error']:.1e} | {row['passes']} |"
        for row in content["rows"]
    ]
    return [*lines, ""]


def warm() -> list[str]:
    lines = []
    for path in sorted(BENCHMARKS.glob("ot-warm-*.json")):
        content = json.loads(path.read_text())
        alone = statistics.fmean(content["alone"])
        lines += [f"## Slow plan and warm start, {path.stem.removeprefix('ot-warm-')}", ""]
        seeds = f"{content['seeds']} seed{'s' * (content['seeds'] > 1)}"
        lines += [f"{content['about']}; {seeds}. The student alone: {alone:.1f} %.", ""]
        lines += ["| the plan's cost | passes from zero | from the last potentials | share | accuracy, % |"]
        lines += ["|---|---|---|---|---|"]
        for row in content["rows"]:
            share, score = row["warm"] / row["cold"], statistics.fmean(row["accuracy"])
            lines.append(f"| {row['way']} | {row['cold']:g} | {row['warm']:g} | {share:.2f} | {score:.1f} |")
        lines.append("")
    return lines


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        kept = [path for path in Path(folder).glob("*") if path.suffix in (".json", ".svg")]
        kept = [path for path in kept if not path.stem.endswith("-quick")]
        if not kept:
            print(f"{folder} holds no benchmark's results; `make bench-ot` writes them to runs/bench/ot.")
            sys.exit(2)
        for path in kept:
            keep(path)
    found = [*targets(), *floors(), *peaks(), *grid("fixed"), *grid("random"), *shared(), *warm()]
    if found:
        head = [
            "# Speed of transport",
            "",
            "The numbers of the tables are read from what `make bench-ot` wrote and, for CIFAR-10, `python "
            "benchmarks/ot_warm.py --data ../shared/data/cifar10 --teacher resnet56:FILE --student resnet8 --seeds 1`, "
            "in `runs/bench/ot`; `python docs/speed.py runs/bench/ot` makes the page of it.",
            "",
        ]
        (HERE / "speed.md").write_text("\n".join([*head, *found]).rstrip() + "\n")
