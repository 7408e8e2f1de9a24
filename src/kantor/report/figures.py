"""The figures of a run's page, with the numbers behind them for the page's script and for its text alternatives."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from kantor.report import svg
from kantor.report.curves import Curve, Terms, charts, curve, terms
from kantor.report.run import Run
from kantor.report.table import styles


@dataclass(frozen=True)
class Figure:
    """A chart, what it says in words, and the numbers behind it."""

    title: str
    picture: Markup
    legend: list[tuple[int, str]]
    """Style and text of each entry, where the chart has a legend of its own."""
    heading: list[str]
    rows: list[list[str]]
    """The text alternative: a table of some of the numbers."""
    data: dict[str, Any]
    """By chart key: what the script reads out."""


def learning_curves(run: Run, prefix: str) -> list[Figure]:
    """Metrics over epochs, a line for each method with a band from its lowest to its highest seed."""
    figures = []
    number = styles(run)
    for key, title, percent in charts(run.scale):
        curves = [c for m in number if (c := curve(m, run.of(m), key)) is not None and len(c.epochs) > 1]
        if not curves:
            continue
        name = f"{prefix}-{key.replace('/', '-')}"
        figures.append(over_epochs(title, curves, number, name, percent=percent))
    return figures


def over_epochs(
    title: str, curves: list[Curve], number: dict[str, int], chart: str, *, percent: bool, y_low: float | None = None
) -> Figure:
    """One measure over epochs: a line for each method with a band from its lowest to its highest seed.

    Args:
        title: of the chart.
        curves: at least one.
        number: the style of each, by its name.
        chart: the chart's key in the page's data.
        percent: the values are shares, shown in per cent.
        y_low: where the y axis starts; the lowest value if left out.
    """
    scale, unit = (100, " %") if percent else (1, "")
    series = [svg.Series(number[c.name], c.epochs, c.mean, c.low, c.high) for c in curves]
    ends = "; ".join(f"{c.name} {scale * c.mean[-1]:.3g}{unit}" for c in curves)
    return Figure(
        title,
        svg.lines(f"{title} over epochs. At the end: {ends}.", series, chart=chart, percent=percent, y_low=y_low),
        [],
        ["method", "first", "halfway", "last", "lowest seed", "highest seed"],
        [_row(c, scale) for c in curves],
        {chart: _aligned(curves, scale, unit)},
    )


def term_figures(run: Run, prefix: str) -> list[tuple[str, list[Figure]]]:
    """For every method with transfer: each term's share of the loss, its value, its share of the gradient norm."""
    found = []
    everything = [(index, known) for index, m in enumerate(run.methods) if (known := terms(run, m)) is not None]
    names = dict.fromkeys(name for _, known in everything for name in known.names if name != "task")
    number = {"task": 0} | {name: svg.style(k) for k, name in enumerate(names)}
    for index, known in everything:
        method = known.method
        name = f"{prefix}-terms-{index}"
        figures = [_shares(known, "share of the weighted loss", known.shares, number, name)]
        if known.gradient is not None:
            figures.append(_shares(known, "share of the gradient", known.gradient, number, f"{name}-g"))
        relative = [[v / (abs(row[0]) or 1.0) for v in row] for row in known.values]
        last = "; ".join(f"{n} {row[-1]:.3g}" for n, row in zip(known.names, known.values, strict=True))
        figures.append(
            Figure(
                "Value, first epoch = 100 %",
                svg.lines(
                    f"{method}: each term's value over epochs, relative to the first. Values at the end: {last}.",
                    [svg.Series(number[n], known.epochs, r, r, r) for n, r in zip(known.names, relative, strict=True)],
                    chart=f"{name}-v",
                    percent=True,
                    y_low=0.0,
                ),
                [(number[n], n) for n in known.names],
                ["term", "first value", "last value"],
                [[n, f"{row[0]:.4g}", f"{row[-1]:.4g}"] for n, row in zip(known.names, known.values, strict=True)],
                {f"{name}-v": _data(known.names, known.epochs, known.values, 1, "")},
            )
        )
        found.append((method, figures))
    return found


def _shares(known: Terms, title: str, shares: list[list[float]], number: dict[str, int], chart: str) -> Figure:
    names, epochs = known.names, known.epochs
    parts = [(number[n], s) for n, s in zip(names, shares, strict=True)]
    rows = [[n, f"{100 * row[0]:.1f} %", f"{100 * row[-1]:.1f} %"] for n, row in zip(names, shares, strict=True)]
    said = "; ".join(f"{n} from {first} to {last}" for n, first, last in rows)
    return Figure(
        title.capitalize(),
        svg.stacked(f"{known.method}: {title} over epochs: {said}.", epochs, parts, chart=chart),
        [(number[n], n) for n in names],
        ["term", "first epoch", "last epoch"],
        rows,
        {chart: _data(names, epochs, shares, 100, " %")},
    )


def _row(found: Curve, scale: float) -> list[str]:
    middle = len(found.mean) // 2
    values = [found.mean[0], found.mean[middle], found.mean[-1], found.low[-1], found.high[-1]]
    return [found.name, *(f"{scale * v:.4g}" for v in values)]


def _aligned(curves: list[Curve], scale: float, unit: str) -> dict[str, Any]:
    # Methods of a run under way are not equally far.
    epochs = sorted({epoch for c in curves for epoch in c.epochs})
    known = [dict(zip(c.epochs, c.mean, strict=True)) for c in curves]
    return _data([c.name for c in curves], epochs, [[k.get(e, math.nan) for e in epochs] for k in known], scale, unit)


def _data(names: list[str], epochs: list[int], values: list[list[float]], scale: float, unit: str) -> dict[str, Any]:
    rounded = [[float(f"{scale * v:.4g}") if math.isfinite(v) else None for v in row] for row in values]
    return {"names": names, "epochs": epochs, "values": rounded, "unit": unit}


def figure_data(figures: list[Figure]) -> dict[str, Any]:
    """What the script reads out of all of them."""
    return {key: value for figure in figures for key, value in asdict(figure)["data"].items()}
