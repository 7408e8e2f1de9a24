"""Write docs/cifar10.md and docs/default-weights.md from the runs' own files, kept in docs/results.

    python docs/results.py                      the pages, from docs/results/*.json
    python docs/results.py keep NAME RUN        first keep what a finished run says, as docs/results/NAME.json
"""

import json
import sys
from pathlib import Path

import yaml
from picture import table

HERE = Path(__file__).parent


def keep(name: str, run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    environment = json.loads((run / "environment.json").read_text())
    content = {
        "command": environment["command"],
        "packages": environment["packages"],
        "cores": environment["cores"],
        "config": yaml.safe_load((run / "config.yaml").read_text()),
        "methods": summary["methods"],
        "teachers": summary.get("teachers", []),
    }
    (HERE / "results" / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def read(name: str) -> dict:
    return json.loads((HERE / "results" / f"{name}.json").read_text())


def cifar10() -> str:
    run = read("cifar10")
    seeds, best = len(run["config"]["seeds"]) if isinstance(run["config"]["seeds"], list) else run["config"]["seeds"], None
    best = max(run["methods"], key=lambda name: run["methods"][name]["mean"])
    lines = [
        "# CIFAR-10: ResNet-56 to ResNet-8",
        "",
        "The command of the README, as it was run:",
        "",
        "```sh",
        run["command"],
        "```",
        "",
        f"{run['config']['train_limit']:,} training images (a tenth of them for choosing the epoch), "
        f"{run['config']['epochs']} epochs, {seeds} seeds, the official test part read once. "
        "Differences are paired by seed. With three seeds a t interval is wide: read it before the mean.",
        "",
        table(run["methods"]),
        f"Highest mean: {best}. Weights: "
        + "; ".join(
            f"{name}: {', '.join(f'{k} {v:g}' for k, v in row['weights'].items())}" for name, row in run["methods"].items()
        )
        + f". torch {run['packages']['torch']}, {run['cores']} CPU cores, which other work shared: seconds are upper bounds.",
        "",
        "Accuracy on the validation part, from which the epoch was chosen:",
        "",
        *(
            f"- {name}: {', '.join(f'{100 * a:.1f}' for a in row['validation_accuracy'])} %"
            for name, row in run["methods"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def default_weights() -> str:
    lines = [
        "# Default weight of neuron transport",
        "",
        "Searched on CIFAR-10's training data alone, ResNet-56 to ResNet-8, ten epochs, with a seed used for nothing else.",
        "The criterion is accuracy on the validation part; the test part took no part in the choice.",
        "",
        "| training images | " + " | ".join(read("weights-10000")["methods"]) + " |",
        "|---|" + "---|" * len(read("weights-10000")["methods"]),
    ]
    for name in ("weights-5000", "weights-10000"):
        run = read(name)
        cells = [f"{100 * sum(r['validation_accuracy']) / len(r['seeds']):.1f}" for r in run["methods"].values()]
        lines.append(f"| {run['config']['train_limit']:,} | " + " | ".join(cells) + " |")
    size = [int(read(name)["config"]["train_limit"] * read(name)["config"]["validation"]) for name in ("weights-5000",)]
    lines += [
        "",
        f"One seed and {size[0]} to {2 * size[0]} validation images leave about 2 points of noise. Every weight beats the "
        "student alone; 10 to 40 are not told apart. The default is 20, the middle of them on a logarithmic scale.",
        "`kantor distill --tune '[0.5, 1, 2]'` searches again on your own validation data.",
        "",
        "```sh",
        read("weights-5000")["command"],
        "```",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:2] == ["keep"]:
        keep(sys.argv[2], Path(sys.argv[3]))
    (HERE / "cifar10.md").write_text(cifar10())
    (HERE / "default-weights.md").write_text(default_weights())
