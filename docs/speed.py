"""Write docs/speed.md from what the transport benchmarks left in docs/benchmarks: python docs/speed.py."""

import json
import math
import statistics
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = HERE / "benchmarks"
GRIDS = {"fixed": "the grid that was stated before tuning", "random": "sizes, dimensions and epsilons drawn at random"}


def read(name: str) -> dict | None:
    path = BENCHMARKS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def mean(rows: list[dict]) -> str:
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    return f"{math.exp(statistics.fmean(map(math.log, ratios))):.2f} ({len(ratios)})" if ratios else "-"


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
    lines += [f"{content['machine']}; process CPU time, medians of calls and of {content['seeds']} seeds.", ""]
    lines += ["| cells | geometric mean of best peer / kantor (cells with a peer) |", "|---|---|"]
    lines += [f"| {group} | {mean(members)} |" for group, members in groups.items() if members]
    reached = sum("kantor" in row["peers"] for row in rows)
    lines += [
        "",
        f"kantor reaches the tolerance in {reached} of {len(rows)} cells. A ratio needs a peer that does.",
        "",
    ]
    lines += ["| cell | kantor, ms | passes | best peer | ms | ratio |", "|---|---|---|---|---|---|"]
    for row in rows:
        mine, other = row["peers"].get("kantor"), row["peers"].get(row.get("best_peer"))
        own = f"{mine['ms']:.2f} | {mine['passes']:.0f}" if mine else "- | "
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
        lines += [f"{content['about']}; {content['seeds']} seeds. The student alone: {alone:.1f} %.", ""]
        lines += ["| the plan's cost | passes from zero | from the last potentials | share | accuracy, % |"]
        lines += ["|---|---|---|---|---|"]
        for row in content["rows"]:
            share, score = row["warm"] / row["cold"], statistics.fmean(row["accuracy"])
            lines.append(f"| {row['way']} | {row['cold']:g} | {row['warm']:g} | {share:.2f} | {score:.1f} |")
        lines.append("")
    return lines


if __name__ == "__main__":
    found = [*grid("fixed"), *grid("random"), *shared(), *warm()]
    if found:
        head = ["# Speed of transport", "", "Each number is read from what `make bench-ot` wrote.", ""]
        (HERE / "speed.md").write_text("\n".join([*head, *found]).rstrip() + "\n")
