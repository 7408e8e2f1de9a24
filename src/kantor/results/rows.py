"""One method's row: what its seeds reached, how far that is from the student alone, and which of them collapsed."""

from collections.abc import Mapping
from statistics import fmean, median
from typing import Any

from kantor.results.statistics import few, paired_difference, t_interval
from kantor.training.collapse import Collapse

Results = Mapping[int, Mapping[str, Any]]
"""By seed, what ``result.json`` holds."""

FAR = 0.1
"""A seed this far below the median of its fellows is named, where it is also far beside their own spread."""


def method_row(found: Results, alone: Results, *, judged: bool) -> dict[str, Any]:
    """A method's row of the summary.

    Accuracies are shares in [0, 1]. ``difference`` is paired by seed with ``alone``. Where a student of either side
    collapsed it is None: a mean over students that work and students that do not is no gain or loss.

    Args:
        found: the method's finished seeds, at least one.
        alone: those of the student without transfer; empty for that method itself.
        judged: whether students have accuracies.
    """
    seeds = sorted(found)
    accuracy = [found[s]["accuracy"] for s in seeds] if judged else None
    seconds = [found[s]["seconds"] for s in seeds]
    validation = [found[s].get("validation_accuracy") for s in seeds]
    collapsed = {s: found[s]["collapse"] for s in seeds if found[s].get("collapse")}
    both = [s for s in seeds if s in alone] if judged else []
    difference = None
    if both and not collapsed and not any(alone[s].get("collapse") for s in both):
        ours, theirs = ([results[s]["accuracy"] for s in both] for results in (found, alone))
        mean, interval = paired_difference(ours, theirs)
        difference = {"to": "none", "mean": mean, "interval": interval, "seeds": both}
    return {
        "seeds": seeds,
        "accuracy": accuracy,
        "mean": None if accuracy is None else fmean(accuracy),
        "interval": None if accuracy is None else t_interval(accuracy),
        "difference": difference,
        "collapsed": collapsed,
        "far": [] if accuracy is None else [s for s in far_below(seeds, accuracy) if s not in collapsed],
        "seconds": fmean(seconds),
        "seconds_per_seed": seconds,
        "peak_memory": max((found[s]["peak_memory"] for s in seeds if found[s].get("peak_memory")), default=None),
        "memory_of": found[seeds[0]].get("memory_of"),
        "validation_accuracy": None if None in validation else validation,
        "weights": found[seeds[0]].get("weights"),
    }


def far_below(seeds: list[int], accuracy: list[float]) -> list[int]:
    """Seeds whose accuracy lies far below their fellows': ten points and five median deviations below the median."""
    if len(seeds) < 3:
        return []
    middle = median(accuracy)
    spread = median(abs(value - middle) for value in accuracy)
    return [s for s, value in zip(seeds, accuracy, strict=True) if middle - value > max(FAR, 5 * spread)]


def warnings(methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What must be said beside the table: students that collapsed, seeds far from their fellows, too few seeds.

    Args:
        methods: rows by method, as :func:`method_row` makes them.
    """
    said = []
    for name, row in methods.items():
        collapsed = {seed: Collapse.parse(record) for seed, record in (row.get("collapsed") or {}).items()}
        if collapsed:
            who = "; ".join(f"seed {seed} {collapse}" for seed, collapse in collapsed.items())
            said.append(
                f"{name}: {len(collapsed)} of {len(row['seeds'])} students collapsed: {who}. "
                + (
                    "Nothing is compared with it. Try more epochs, a lower lr, or clip."
                    if name == "none"
                    else "Its mean is not shown as a gain or loss. Try more epochs, a lower lr, a smaller clip, less "
                    "weight on what is transferred, or layers that you name yourself."
                )
            )
        if row.get("far"):
            values = dict(zip(row["seeds"], row["accuracy"], strict=True))
            who = ", ".join(f"seed {seed} at {100 * values[seed]:.1f} %" for seed in row["far"])
            middle = 100 * median(row["accuracy"])
            said.append(
                f"{name}: {who}, far below the median of its seeds, {middle:.1f} %. Look at it before its mean."
            )
    if too_few := few(len(row["seeds"]) for row in methods.values() if row["interval"]):
        said.append(too_few)
    return said
