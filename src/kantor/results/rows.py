"""One method's row: what its seeds reached, how far that is from the student alone, and which of them collapsed."""

from collections.abc import Mapping
from statistics import fmean, median
from typing import Any

from kantor.core.errors import DataError
from kantor.results.records import Difference, Row
from kantor.results.statistics import few, paired_difference, t_interval
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY
from kantor.training.collapse import Collapse

Results = Mapping[int, Mapping[str, Any]]
"""By seed, what ``result.json`` holds."""

FAR = 0.1
"""A seed this far from the median of its fellows is named, where it is also far beside their own spread."""


def test_value(result: Mapping[str, Any], scale: Scale) -> float:
    """What a finished student reached on the test part; before there were tasks, that was its accuracy."""
    return (result.get("metrics") or result)[scale.name]


def validation_value(result: Mapping[str, Any]) -> float | None:
    """What a student reached on the validation part by the task's metric; None without one."""
    return result["validation"] if "validation" in result else result.get("validation_accuracy")


def values_of(row: Mapping[str, Any]) -> list[float]:
    """What a method's seeds reached on the test part, from its row."""
    return row.get("values") or row["accuracy"]


def mean_of(row: Row) -> float:
    """What a method reaches on the test part, where students are judged: the mean over its seeds.

    Raises:
        DataError: the row does not say it.
    """
    if row["mean"] is None:
        raise DataError("The summary of a run whose students are judged lacks a mean. `kantor resume` the run.")
    return row["mean"]


def method_row(found: Results, alone: Results, scale: Scale | None) -> Row:
    """A method's row of the summary.

    Values are of the test part, by the task's metric: ``values``, and ``accuracy`` too where that is the metric.
    ``difference`` is paired by seed with ``alone``. Where a student of either side collapsed it is None: a mean over
    students that work and students that do not is no gain or loss.

    Args:
        found: the method's finished seeds, at least one.
        alone: those of the student without transfer; empty for that method itself.
        scale: of the metric; None where students are not judged.
    """
    seeds = sorted(found)
    values = None if scale is None else [test_value(found[s], scale) for s in seeds]
    seconds = [found[s]["seconds"] for s in seeds]
    validation = [validation_value(found[s]) for s in seeds]
    collapsed = {str(s): found[s]["collapse"] for s in seeds if found[s].get("collapse")}
    both = [s for s in seeds if s in alone]
    difference: Difference | None = None
    if scale is not None and both and not collapsed and not any(alone[s].get("collapse") for s in both):
        ours, theirs = ([test_value(results[s], scale) for s in both] for results in (found, alone))
        mean, interval = paired_difference(ours, theirs)
        difference = {"to": "none", "mean": mean, "interval": interval, "seeds": both}
    known = [value for value in validation if value is not None]
    validated = known if len(known) == len(validation) else None
    far = [] if values is None else far_off(seeds, values, scale or ACCURACY)
    is_accuracy = scale is None or scale == ACCURACY
    return {
        "seeds": seeds,
        "accuracy": values if is_accuracy else None,
        "values": values,
        "mean": None if values is None else fmean(values),
        "interval": None if values is None else t_interval(values),
        "difference": difference,
        "collapsed": collapsed,
        "far": [s for s in far if str(s) not in collapsed],
        "others": {} if scale is None else _others([found[s] for s in seeds], scale),
        "seconds": fmean(seconds),
        "seconds_per_seed": seconds,
        "peak_memory": max((found[s]["peak_memory"] for s in seeds if found[s].get("peak_memory")), default=None),
        "memory_of": found[seeds[0]].get("memory_of"),
        "validation_accuracy": validated if is_accuracy else None,
        "validation": validated,
        "weights": found[seeds[0]].get("weights"),
    }


def _others(results: list[Mapping[str, Any]], scale: Scale) -> dict[str, float]:
    """The task's other metrics, means over the seeds that have them."""
    known: dict[str, list[float]] = {}
    for result in results:
        for name, value in (result.get("metrics") or {}).items():
            known.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in known.items() if name != scale.name}


def far_off(seeds: list[int], values: list[float], scale: Scale) -> list[int]:
    """Seeds that are far worse than their fellows: by five median deviations from the median, and by ten points, or
    where values are no shares by a tenth of it.
    """
    if len(seeds) < 3:
        return []
    middle = median(values)
    spread = median(abs(value - middle) for value in values)
    far = max(FAR if scale.is_share else FAR * abs(middle), 5 * spread)
    return [s for s, value in zip(seeds, values, strict=True) if scale.gain(middle - value) > far]


def warnings(methods: Mapping[str, Mapping[str, Any]], scale: Scale) -> list[str]:
    """What must be said beside the table: students that collapsed, seeds far from their fellows, too few seeds.

    Args:
        methods: rows by method, as :func:`method_row` makes them.
        scale: of their metric.
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
            values = dict(zip(row["seeds"], values_of(row), strict=True))
            who = ", ".join(f"seed {seed} at {scale.text(values[seed], 1)}" for seed in row["far"])
            middle = scale.text(median(values_of(row)), 1)
            where = "below" if scale.higher_is_better else "above"
            said.append(f"{name}: {who}, far {where} the median of its seeds, {middle}. Look at it before its mean.")
    if too_few := few(len(row["seeds"]) for row in methods.values() if row["interval"]):
        said.append(too_few)
    return said
