"""RESULTS.md, from what the study's files say.

python examples/language/page.py keep RUN... SEARCH    keep the figures of the study and its trials in results.json, and
                                                       write RESULTS.md; of several runs, which differ in seeds and
                                                       methods alone, side by side
python examples/language/page.py                       the page from what was kept
"""

import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from kantor.results.statistics import paired_difference

HERE = Path(__file__).parent
OURS = "vocabulary_transport@cost=cooccurrence"
NAMES = {
    "none": "the student alone",
    "uld@merge=observed": "uld, tokens merged over spans",
    "vocabulary_transport@cost=cooccurrence": "**vocabulary_transport**, from co-occurrence",
    "vocabulary_transport@cost=strings": "**vocabulary_transport**, from how tokens are written",
}
KEPT = ("values", "validation", "seeds", "seconds_per_seed", "peak_memory", "weights")


LISTS = ("values", "validation", "seeds", "seconds_per_seed")


def keep(runs: list[Path], search: Path) -> dict[str, Any]:
    """What each method reached, and what was tried for it."""
    run = runs[0]
    step0, environment = (json.loads((run / name).read_text()) for name in ("step0.json", "environment.json"))
    plans = {path.stem: _facts(path) for run in runs for path in sorted((run / "vocabulary").glob("*.npz"))}
    methods: dict[str, dict[str, Any]] = {}
    for one in runs:
        for name, row in json.loads((one / "summary.json").read_text())["methods"].items():
            _add(methods.setdefault(_plain(name), {}), {key: row[key] for key in KEPT})
    return {
        "methods": methods,
        "trials": _trials(search),
        "parts": step0["data"]["parts"],
        "plans": plans,
        "packages": environment["packages"],
    }


def _add(known: dict[str, Any], row: dict[str, Any]) -> None:
    """More seeds of a method."""
    if not known:
        known |= row
        return
    assert not set(known["seeds"]) & set(row["seeds"]), "each seed once"
    for key in LISTS:
        known[key] += row[key]


def _plain(name: str) -> str:
    """Without its weight, which the trials found."""
    return name.partition(":")[0].removesuffix("=auto=1")


def _trials(search: Path) -> dict[str, list[dict[str, float]]]:
    """By method: weights (of the student alone factors of its learning rate), and what was reached with them."""
    found: dict[str, list[dict[str, float]]] = {}
    for path in sorted(search.glob("tuning/x*/*/seed-*/result.json")):
        result, factor = json.loads(path.read_text()), float(path.parts[-4].removeprefix("x"))
        weights = [weight for term, weight in result["weights"].items() if term != "task"]
        tried = {"weight": weights[0] if weights else factor, "validation": result["validation"]}
        found.setdefault(_plain(path.parts[-3]), []).append(tried)
    return found


def _facts(path: Path) -> dict[str, Any]:
    from kantor.faculty.vocabulary import VocabularyPlan

    return VocabularyPlan.load(path).facts


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    methods, parts = results["methods"], results["parts"]
    seeds = len(methods["none"]["seeds"])
    lines = [
        "# A language model with another tokenizer",
        "",
        "Teacher: SmolLM2-135M-Instruct, 49,152 tokens, read from a file of four bits a weight. Student: `gpt` of "
        "368,384 parameters (64 numbers a token, two blocks) with 4,000 byte pairs learned from its training text. "
        f"Text: the first 500,000 letters of WikiText-2's validation part ({parts['train']['samples']:,} pieces to "
        f"train on, {parts['validation']['samples']} to choose by) and the first 150,000 of its test part. The teacher "
        "ran over the training text once; students train from its 64 likeliest tokens, and see every text twice. "
        f"{seeds} seeds; differences are paired by seed, with t intervals of 95 %.",
        "",
        "| method | seeds | bits per byte | to the student alone | to co-occurrence | seconds | weight |",
        "|---|---|---|---|---|---|---|",
        *(_row(name, results) for name in sorted(methods, key=lambda name: fmean(methods[name]["values"]))),
        "",
        "Lower is better. The last difference is the method's minus that of vocabulary transport from co-occurrence: "
        "above 0, transport is better. Seconds are of one student on a core that other work shared, so they compare "
        "methods roughly.",
        "",
        *_verdicts(results),
        "",
        "## Trials",
        "",
        "Weights were tried at .3 and 2 times what makes a term's gradient at first as large as the task's, with every "
        "text seen once, a seed of their own and a peak learning rate of .003 (of the student alone, once and twice "
        "that rate; twice was better, and all train with it above). Bits per byte of the validation part:",
        "",
        *(
            f"- {NAMES.get(name, name)}: "
            + ", ".join(
                f"{'rate x' if name == 'none' else 'weight'} {t['weight']:.3g}: {t['validation']:.3f}" for t in tried
            )
            for name, tried in results["trials"].items()
        ),
        "",
        "## Again",
        "",
        "```sh",
        "make language    # the trials, and then the study",
        "```",
    ]
    remarks = HERE / "remarks.md"
    return "\n".join(lines) + "\n" + (f"\n{remarks.read_text('utf-8')}" if remarks.exists() else "")


def _row(name: str, results: dict[str, Any]) -> str:
    row, methods = results["methods"][name], results["methods"]
    alone = "" if name == "none" else _difference(row, methods["none"])
    ours = "" if name == OURS else _difference(row, methods[OURS])
    weights = [weight for term, weight in row["weights"].items() if term != "task"]
    return (
        f"| {NAMES.get(name, name)} | {len(row['seeds'])} | {fmean(row['values']):.4f} | {alone} | {ours} | "
        f"{fmean(row['seconds_per_seed']):.0f} | {f'{weights[0]:g}' if weights else ''} |"
    )


def _difference(row: dict[str, Any], other: dict[str, Any]) -> str:
    mean, interval = paired_difference(*_both(row, other))
    return f"{mean:+.4f}" if interval is None else f"{mean:+.4f} ({interval[0]:+.4f} to {interval[1]:+.4f})"


def _both(row: dict[str, Any], other: dict[str, Any]) -> tuple[list[float], list[float]]:
    """What the seeds reached that both have."""
    ours, theirs = (dict(zip(found["seeds"], found["values"], strict=True)) for found in (row, other))
    shared = sorted(set(ours) & set(theirs))
    return [ours[seed] for seed in shared], [theirs[seed] for seed in shared]


def _verdicts(results: dict[str, Any]) -> list[str]:
    """Which targets are reached: intervals clear of zero, against every other method."""
    methods = results["methods"]
    said = []
    for name, row in methods.items():
        if name.startswith("vocabulary_transport"):
            continue
        mean, interval = paired_difference(*_both(methods[OURS], row))
        clear = interval is not None and interval[1] < 0
        verdict = "below, clear of zero" if clear else "below, not clear of zero" if mean < 0 else "not below"
        said.append(f"- Vocabulary transport (co-occurrence) against {NAMES.get(name, name)}: {verdict}.")
    return said


def main() -> None:
    if sys.argv[1:2] == ["keep"]:
        *runs, search = map(Path, sys.argv[2:])
        (HERE / "results.json").write_text(json.dumps(keep(runs, search), indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(page(json.loads((HERE / "results.json").read_text())))


if __name__ == "__main__":
    main()
