"""The rows of the results table and of the time table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from kantor.core.numbers import between, true_minus
from kantor.report import svg
from kantor.report.headline import time_ratio
from kantor.report.run import ALONE, Run
from kantor.results import records
from kantor.results.rows import mean_of, values_of
from kantor.results.statistics import t_interval
from kantor.results.table import collapsed
from kantor.tasks import Scale


@dataclass(frozen=True)
class Row:
    """One method, as text and figure."""

    name: str
    style: int
    cells: dict[str, str]
    figure: Markup


@dataclass(frozen=True)
class Table:
    """Rows and the axis that their figures share."""

    rows: list[Row]
    axis: Markup
    heading: str = ""
    """What the numbers are, with their unit."""
    unit: str = ""
    """Of differences; nothing for bare numbers."""


def styles(run: Run) -> dict[str, int]:
    """A style for every method: 0 for the student alone, the same one all over the page."""
    names = list(dict.fromkeys([*run.methods, *(student.method for student in run.students)]))
    others = [name for name in names if name != ALONE]
    return {ALONE: 0} | {name: svg.style(index) for index, name in enumerate(others)}


def results(runs: Sequence[Run]) -> Table:
    """What every method reaches on the test part: mean, interval, difference to the student alone, seeds as dots.

    Args:
        runs: one, or several that are judged by one metric (else there are no rows), whose names then come before
            their methods'.
    """
    known = [(run, name, row) for run in runs if run.judged for name, row in run.methods.items()]
    metrics = {run.scale for run, _, _ in known}
    if len(metrics) != 1:  # what is judged by several is not set on one axis
        return Table([], Markup())
    metric = metrics.pop()
    scale = svg.dots_scale(
        [metric.shown(value) for _, _, row in known for value in values_of(row)],
        [_shown(row["interval"], metric) for _, _, row in known],
    )
    rows = [
        _result(run, name, row, scale, f"{run.name}: {name}" if len(runs) > 1 else name) for run, name, row in known
    ]
    unit = "points" if metric.is_share else metric.unit
    return Table(rows, svg.dots_axis(scale, "g"), metric.heading, f", {unit}" if unit else "")


def _result(run: Run, method: str, row: records.Row, scale: svg.Axis, name: str) -> Row:
    metric = run.scale
    difference, interval = row["difference"], _shown(row["interval"], metric)
    reached = zip(row["seeds"], values_of(row), strict=True)
    seeds = [(f"seed {seed}: {metric.text(value)}", metric.shown(value)) for seed, value in reached]
    cells = {
        "seeds": str(len(row["seeds"])),
        "mean": metric.number(mean_of(row)),
        "interval": metric.interval(row["interval"]),
        "difference": true_minus(metric.signed(difference["mean"])) if difference else collapsed(row),
        "difference_interval": true_minus(between(difference and difference["interval"], metric.signed)),
        "clear": _clear(difference, metric),
        "seconds": f"{row['seconds']:.1f}",
    }
    style = styles(run)[method]
    alone = metric.shown(mean_of(run.methods[ALONE])) if ALONE in run.methods else None
    label = f"{name}: {'; '.join(text for text, _ in seeds)}"
    return Row(name, style, cells, svg.dots(label, seeds, interval, scale, style, alone))


def _shown(interval: Sequence[float] | None, metric: Scale) -> list[float] | None:
    return None if interval is None else [metric.shown(bound) for bound in interval]


def _clear(difference: records.Difference | None, metric: Scale) -> str:
    if not difference or not difference["interval"]:
        return ""
    low, high = sorted(metric.gain(bound) for bound in difference["interval"])
    return "better" if low > 0 else "worse" if high < 0 else "unclear"


def times(run: Run) -> Table | None:
    """Milliseconds per step of every finished method, and peak memory where it was recorded."""
    number = styles(run)
    taken = {name: {s: 1e3 * t for s, t in run.seconds_per_step(name).items()} for name in run.methods}
    taken = {name: found for name, found in taken.items() if found}
    if not taken:
        return None
    intervals = {name: t_interval(list(found.values())) for name, found in taken.items()}
    scale = svg.dots_scale([t for found in taken.values() for t in found.values()], list(intervals.values()))
    alone = fmean(taken[ALONE].values()) if ALONE in taken else None
    rows = []
    for name, found in taken.items():
        ratio = time_ratio(run, name) if name != ALONE else None
        peaks = [s.result["peak_memory"] for s in run.of(name) if s.result and s.result.get("peak_memory")]
        cells = {
            "step": _short(fmean(found.values())),
            "ratio": "" if ratio is None else f"{ratio:.2f} ×",
            "seconds": f"{run.methods[name]['seconds']:.1f}",
            "memory": f"{max(peaks) / 2**20:,.0f}" if peaks else "",
        }
        seeds = [(f"seed {s}: {_short(t)} ms", t) for s, t in found.items()]
        label = f"{name}, milliseconds per step: {'; '.join(text for text, _ in seeds)}"
        rows.append(Row(name, number[name], cells, svg.dots(label, seeds, intervals[name], scale, number[name], alone)))
    return Table(rows, svg.dots_axis(scale, "g"))


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.3g}" if milliseconds < 100 else f"{milliseconds:,.0f}"
