"""Write docs/cifar10.md, default-*.md and methods-compared.md from the runs' own files, kept in docs/results.

python docs/results.py                      the pages, from docs/results/*.json
python docs/results.py keep NAME RUN ...    first keep what finished runs say, as docs/results/NAME.json
python docs/results.py renew NAME RUN METHOD ...    or put its rows of these methods in the place of those kept there
"""

import json
import re
import sys
from pathlib import Path

import yaml
from picture import table

from kantor.objective.weights import LIMIT, LIMIT_ADAMW

HERE = Path(__file__).parent


def keep(name: str, runs: list[Path]) -> None:
    """Several runs of one configuration, each with other methods, are kept as one."""
    content: dict = {"commands": [], "methods": {}}
    for run in runs:
        summary = json.loads((run / "summary.json").read_text())
        environment = json.loads((run / "environment.json").read_text())
        content["commands"].append(relative(environment["command"]))
        content |= {key: environment[key] for key in ("packages", "cores")}
        content["config"] = yaml.safe_load(relative((run / "config.yaml").read_text()))
        content["methods"] |= summary["methods"]
        content |= {"tuning": summary["tuning"]} if "tuning" in summary else {}
        step0 = json.loads((run / "step0.json").read_text())
        content |= {"left_out": step0["left_out"]} if step0.get("left_out") else {}
        content.setdefault("shares", {}).update(
            {name: share(facts["terms"]) for name, facts in step0["methods"].items()}
        )
        if (run / "probe.json").exists():
            (probed,) = json.loads((run / "probe.json").read_text()).values()
            content["probe"] = probed["methods"]
    (HERE / "results" / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def renew(name: str, run: Path, methods: list[str]) -> None:
    """Rows that a change of the code made old; the student alone, with whom the run compares them, was in it too."""
    content, summary = read(name), json.loads((run / "summary.json").read_text())
    step0 = json.loads((run / "step0.json").read_text())["methods"]
    if (run / "probe.json").exists():
        (probed,) = json.loads((run / "probe.json").read_text()).values()
        content["probe"] |= {method: probed["methods"][method] for method in methods}
    for method in methods:
        content["methods"][method] = summary["methods"][method]
        content["tuning"][method] = summary["tuning"][method]
        content["shares"][method] = share(step0[method]["terms"])
    command = relative(json.loads((run / "environment.json").read_text())["command"])
    content["commands"] = list(dict.fromkeys([*content["commands"], command]))
    (HERE / "results" / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def share(terms: list[dict]) -> float:
    """What part of the gradient's norm is not the task's, before the first step."""
    return sum(term["gradient_share"] for term in terms if term["name"] != "task")


def relative(text: str) -> str:
    """Data lies beside the checkout, and runs in it, wherever that is."""
    text = re.sub(r"/\S*/(?=examples/)", "", text)
    text = re.sub(r"/\S*/(?=(?:bench|evidence)/)", "runs/", text)
    return re.sub(r"/\S*/shared/data", "../shared/data", text)


def read(name: str) -> dict:
    return json.loads((HERE / "results" / f"{name}.json").read_text())


def weights(methods: dict) -> list[str]:
    return [f"{name}: {', '.join(f'{k} {v:g}' for k, v in row['weights'].items())}" for name, row in methods.items()]


def cifar10() -> str:
    run = read("cifar10")
    seeds = len(next(iter(run["methods"].values()))["seeds"])
    best = max(run["methods"], key=lambda name: run["methods"][name]["mean"])
    lines = [
        "# CIFAR-10: ResNet-56 to ResNet-8",
        "",
        "The command of the README, as it was run:",
        "",
        "```sh",
        *run["commands"],
        "```",
        "",
        f"{run['config']['train_limit']:,} training images (a tenth of them for choosing the epoch), "
        f"{run['config']['epochs']} epochs, {seeds} seeds, the official test part read once. "
        "Differences are paired by seed. With three seeds a t interval is wide: read it before the mean.",
        "",
        table(run["methods"]),
        f"Highest mean: {best}. Weights: {'; '.join(weights(run['methods']))}.",
        "",
        f"torch {run['packages']['torch']}, {run['cores']} CPU cores. "
        f"Other work shared the cores, unevenly: the seconds do not compare methods.",
        "",
        "Accuracy on the validation part, from which the epoch was chosen:",
        "",
        *(
            f"- {name}: {', '.join(f'{100 * a:.1f}' for a in row['validation_accuracy'])} %"
            for name, row in run["methods"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def len_of(config: dict) -> int:
    return round(config["train_limit"] * config["validation"])


def default_weights() -> str:
    lines = [
        "# Default weight of neuron transport",
        "",
        "Searched on CIFAR-10's training data alone, ResNet-56 to ResNet-8, ten epochs, a seed used for nothing else.",
        "The criterion is accuracy on the validation part, in %; the test part took no part in the choice.",
        "",
        "| training images | " + " | ".join(read("weights-10000")["methods"]) + " |",
        "|---|" + "---|" * len(read("weights-10000")["methods"]),
    ]
    for name in ("weights-5000", "weights-10000"):
        run = read(name)
        cells = [f"{100 * sum(r['validation_accuracy']) / len(r['seeds']):.1f}" for r in run["methods"].values()]
        lines.append(f"| {run['config']['train_limit']:,} | " + " | ".join(cells) + " |")
    small, large = (len_of(read(name)["config"]) for name in ("weights-5000", "weights-10000"))
    lines += [
        "",
        f"One seed and {small} or {large} validation images leave one to two points of noise. Every weight is above",
        "the student alone, but 10 to 40 are not told apart. The default is 20, their middle on a logarithmic scale.",
        "The 5,000 row is a longer study stopped after this seed; the 10,000 row joins two runs of earlier code.",
        "`kantor distill --tune 0.5,1,2` searches again on your own validation data.",
        "",
        f"One pair of networks does not speak for all. So a default weight has a limit: while the term's gradient is "
        f"more than {LIMIT:g}",
        f"times the task's ({LIMIT_ADAMW:g} times under AdamW), the weight is lowered ([how that "
        "works](how-to/your-own-networks.md)). A weight",
        "that you write, as `neuron_transport:20`, is held as it is, and so is `neuron_transport@paper`. The search "
        "above wrote its",
        "weights, so none of its rows was limited, and no step was clipped; its file says `limit: null` and "
        "`clip: null`.",
        "",
        "```sh",
        "kantor distill --config examples/weight_search.yaml                     # 5,000 images",
        "kantor distill --config examples/weight_search.yaml --train-limit 10000",
        "```",
    ]
    return "\n".join(lines) + "\n"


def default_epsilon() -> str:
    run = read("plan-search")
    seeds = next(iter(run["methods"].values()))["seeds"]
    lines = [
        "# How sharp the plan over positions is",
        "",
        "Searched on CIFAR-10's training data alone: ResNet-56 to a ResNet-8 of half the width, held at three stages, "
        f"{run['config']['train_limit']:,} images, {run['config']['epochs']} epochs. The criterion is accuracy on the "
        "validation part, in %, with seeds used for nothing else; the test part took no part in the choice. `epsilon` "
        "is a share of the mean cost.",
        "",
        "| plan | mean | " + " | ".join(f"seed {seed}" for seed in seeds) + " |",
        "|---|---|" + "---|" * len(seeds),
    ]
    for name, row in run["methods"].items():
        reached = row["validation_accuracy"]
        cells = [f"{100 * x:.1f}" for x in (sum(reached) / len(reached), *reached)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "Correlations of two units over positions lie close together, and at .02, the default for their means, a plan "
        "mixes units that have little in common: a student that starts from nothing does no better with it than with a "
        "plan that never looks. The sharper ones are not told apart. The default is .005; below it, more passes.",
        "",
        "```sh",
        "kantor distill --config examples/plan_search.yaml",
        "```",
    ]
    return "\n".join(lines) + "\n"


MISSION = ("neuron_transport", "gckt", "lckt", "wcord")
PAIRS = {
    "bench-same-family": "ResNet-56 to ResNet-8",
    "bench-half-width": "ResNet-56 to a ResNet-8 of half the width",
    "bench-other-family": "ResNet-56 to a vision transformer",
    "bench-louder": "ResNet-56 to a ResNet-8 of half the width: WCoRD's losses with a voice",
}


def methods_compared() -> str:
    runs = {pair: read(pair) for pair in PAIRS if (HERE / "results" / f"{pair}.json").exists()}
    config = next(iter(runs.values()))["config"]
    held = len_of(config)
    lines = [
        "# Every loss in one table",
        "",
        "`make bench-methods` trains one student with every loss for classifiers, on CIFAR-10 at a size for two cores: "
        f"{config['train_limit'] - held:,} training images, {held} for choosing, {config['epochs']} epochs, "
        f"{config['seeds']} seeds, the official test part read once. So short a training says who helps early, not who "
        "wins in the end; the papers train for 240 epochs on 50,000 images.",
        "",
        f"Every method had the same {len(config['tune'])} trials on validation data, with a seed of their own: its "
        f"weights times {', '.join(f'{factor:g}' for factor in config['tune'])} (for `none` its learning rate). "
        "Differences are paired by seed; with three seeds their intervals are wide, and among so many methods one in "
        "twenty is clear of zero by chance. Where there are several commands, the later ones ran their methods again "
        "with changed code, and compare them with the student alone of the same run. The last column is the "
        "transfer's share of the gradient's norm before the first step, at the default weight.",
        "",
    ]
    for pair, run in runs.items():
        lines += [f"## {PAIRS[pair]}", "", "```sh", *run["commands"], "```", ""]
        lines += [
            "| method | accuracy, % | 95 % interval | to the student alone | 95 % interval | weights x | gradient |",
            "|---|---|---|---|---|---|---|",
        ]
        ranked = sorted(run["methods"].items(), key=lambda item: -item[1]["mean"])
        lines += [_bench_row(name, row, run["tuning"][name]["chosen"], run["shares"][name]) for name, row in ranked]
        below = [f"{name} ({_points(row)})" for name, row in ranked if _ours(name) and _mean(row) < 0]
        lines += ["", f"kantor's own below the student alone: {', '.join(below) or 'none'}.", ""]
        lines += [f"- {name} is left out: {reason}" for name, reason in run.get("left_out", {}).items()]
        lines += [""]
    if (HERE / "results" / "step_overhead.json").exists():
        lines += _step_costs(read("step_overhead"))
    if "bench-louder" in runs:
        lines += _louder(runs["bench-louder"], runs["bench-half-width"]["shares"])
    return "\n".join(lines).rstrip() + "\n"


def _louder(run: dict, shares: dict[str, float]) -> list[str]:
    config = run["config"]
    steps = (config["train_limit"] - len_of(config)) // config["batch_size"] * config["epochs"]
    quiet = ", ".join(f"{name} {100 * shares[name]:.1f} %" for name in ("gckt", "lckt", "wcord"))
    loud = ", ".join(f"{name} {100 * row['mean']:.1f} %" for name, row in run["methods"].items())
    weights = ", ".join(
        f"{name.partition(':')[0]} {row['weights'][name.partition(':')[0]]:.0f}"
        for name, row in run["methods"].items()
        if name.startswith(("gckt", "wcord"))
    )
    return [
        "## Why WCoRD's losses hardly move the student here",
        "",
        "At the paper's weights their share of the gradient is next to nothing "
        f"({quiet} for the half-width student, before the first step), and critic and memory, which start empty, have "
        f"{steps} steps to grow; 240 epochs of 50,000 images in batches of 64, as in CRD's public code, are 187,500. "
        f"The last study gives each half the task's gradient at first, times the same trials: {loud}. That is no way "
        "to weight a loss with a critic: before the first step it has learned nothing, and the weights that come of it "
        f"({weights}) are many times the default, at which gckt and wcord do not change this student measurably. "
        "With so few steps, take a loss on maps or neurons. WCoRD at full length (`train_limit: none`, `epochs: 240`) "
        "has not been run: it needs a GPU.",
        "",
    ]


def _step_costs(measured: dict) -> list[str]:
    turns = sorted({row["pairs"] for row in measured["rows"] if "pairs" in row})
    lines = [
        "## What a step costs",
        "",
        "`make bench-steps`: a training step at batch 128 on one thread, the teacher (ResNet-56) cached; CPU time, "
        f"medians of {turns[1]} turns or more for methods that have a target and of {turns[0]} for the others, which "
        "were taken while tests shared the cores. Memory is the process's peak over that without transfer; its grain "
        "is some 10 MB. Differences of one or two percent are noise.",
        "",
        "| student | method | ms | over no transfer | over KD | target | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in measured["rows"]:
        if "left_out" not in row:
            target = "" if row["target"] is None else f"{100 * row['target']:.0f} %"
            lines.append(
                f"| {row['student']} | {row['method']} | {row['ms']:.0f} | {100 * row['over_none']:+.1f} % | "
                f"{100 * row['over_kd']:+.1f} % | {target} | {row['extra_mb']:.0f} |"
            )
    return [*lines, ""]


def _bench_row(name: str, row: dict, factor: float, share: float) -> str:
    low, high = (100 * bound for bound in row["interval"])
    bold = "**" if _ours(name) else ""
    line = f"| {bold}{name}{bold} | {100 * row['mean']:.1f} | {low:.1f} to {high:.1f} | "
    return line + (_points(row, " | ") if row["difference"] else " | ") + f" | {factor:g} | {100 * share:.1f} % |"


def _ours(name: str) -> bool:
    return name.partition(":")[0] in MISSION


def _points(row: dict, between: str = ", ") -> str:
    low, high = (100 * bound for bound in row["difference"]["interval"])
    return f"{100 * _mean(row):+.1f}{between}{low:+.1f} to {high:+.1f}"


def _mean(row: dict) -> float:
    return row["difference"]["mean"]


if __name__ == "__main__":
    if sys.argv[1:2] == ["keep"]:
        keep(sys.argv[2], [Path(run) for run in sys.argv[3:]])
    elif sys.argv[1:2] == ["renew"]:
        renew(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    (HERE / "cifar10.md").write_text(cifar10())
    (HERE / "default-weights.md").write_text(default_weights())
    (HERE / "default-epsilon.md").write_text(default_epsilon())
    (HERE / "methods-compared.md").write_text(methods_compared())
