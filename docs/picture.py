"""Draw the README's picture and table from a finished demo run: python docs/picture.py runs/demo."""

import json
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).parent
MARKS = ("<!-- demo table: make picture -->\n", "<!-- end of demo table -->")


def main(run: Path) -> None:
    methods = json.loads((run / "summary.json").read_text())["methods"]
    draw(run, methods)
    readme = HERE.parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    pattern = re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1])
    readme.write_text(re.sub(pattern, lambda _: MARKS[0] + table(methods) + MARKS[1], text, flags=re.DOTALL), "utf-8")


def table(methods: dict) -> str:
    lines = [
        "| method | accuracy, % | 95 % interval | to the student alone | 95 % interval | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in methods.items():
        low, high = (100 * bound for bound in row["interval"])
        line = f"| {name} | {100 * row['mean']:.1f} | {low:.1f} to {high:.1f} | "
        if row["difference"]:
            below, above = (100 * bound for bound in row["difference"]["interval"])
            line += f"{100 * row['difference']['mean']:+.1f} | {below:+.1f} to {above:+.1f} | "
        else:
            line += "| | "
        lines.append(line + f"{row['seconds']:.1f} |")
    return "\n".join(lines) + "\n"


def draw(run: Path, methods: dict) -> None:
    plt.rcParams.update({"svg.hashsalt": "kantor", "font.size": 10})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), width_ratios=(1.15, 1), layout="constrained")
    for position, row in enumerate(methods.values()):
        spread = np.linspace(-0.18, 0.18, len(row["accuracy"]))
        left.plot(100 * np.array(row["accuracy"]), position + spread, "o", color="#0072b2", alpha=0.5, ms=5, mew=0)
        left.plot([100 * b for b in row["interval"]], [position] * 2, color="#d55e00", lw=2.5)
        left.plot(100 * row["mean"], position, "D", color="#d55e00", ms=6)
    left.set_yticks(range(len(methods)), methods)
    left.invert_yaxis()
    left.set_xlabel("test accuracy, %: each seed, mean and 95 % interval")
    plans = sorted((run / "neuron_transport" / "seed-0" / "plans").glob("*.npz"))
    with np.load(plans[-1]) as record:
        plan = record["plan_0"]
    # Teacher neurons in the order of the student neuron that receives most of their mass.
    order = np.lexsort((-plan.max(1), plan.argmax(1)))
    right.imshow(plan[order].T, aspect="auto", cmap="magma", interpolation="nearest")
    right.set_xlabel(f"{plan.shape[0]} teacher neurons")
    right.set_ylabel(f"{plan.shape[1]} student neurons")
    right.set_title(f"transport plan, {plans[-1].stem}", fontsize=10)
    figure.savefig(HERE / "demo.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
