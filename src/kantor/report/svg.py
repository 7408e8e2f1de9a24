"""Figures as inline SVG: line charts with bands, stacked shares, and every seed as a dot.

Colours and line styles come from the page's style sheet by class: ``m0`` is the student alone, ``m1`` to ``m7`` the
others, each with a colour and a dash of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 34
STYLES = 7


@dataclass(frozen=True)
class Series:
    """One line: a mean and the band around it."""

    style: int
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to the picture's units, with round ticks."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where ``value`` lies."""
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values within the scale, two to seven of them."""
        return ticks(self.low, self.high)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers in [low, high]: multiples of 1, 2, 2.5 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def style(index: int) -> int:
    """The style of the ``index``-th method with transfer, from 0."""
    return 1 + index % STYLES


def lines(
    label: str, series: Sequence[Series], *, chart: str, percent: bool = False, y_low: float | None = None
) -> Markup:
    """A line chart over epochs.

    Args:
        label: what it shows, for those who do not see it.
        series: at least one; ``low`` and ``high`` bound the band.
        chart: the chart's key in the page's data, by which the script reads values out.
        percent: the values are shares, shown in per cent.
        y_low: where the y axis starts; the lowest value if left out.
    """
    x = _x_axis([v for s in series for v in s.x])
    low = min(v for s in series for v in s.low) if y_low is None else y_low
    high = max(v for s in series for v in s.high)
    pad = 0.04 * ((high - low) or 1.0)
    y = Axis(low if y_low is not None else low - pad, high + pad, HEIGHT - BOTTOM, TOP)
    body = [_frame(x, y, percent)]
    for s in series:
        upper = [(x(a), y(b)) for a, b in zip(s.x, s.high, strict=True)]
        lower = [(x(a), y(b)) for a, b in zip(s.x, s.low, strict=True)]
        body.append(f'<path class="band m{s.style}" d="{_path([*upper, *reversed(lower)])}Z"/>')
    for s in series:
        points = [(x(a), y(b)) for a, b in zip(s.x, s.mean, strict=True)]
        body.append(f'<path class="line m{s.style}" d="{_path(points)}"/>')
        body.append(f'<circle class="end m{s.style}" cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3"/>')
    return _chart(label, chart, x, "".join(body))


def stacked(
    label: str, x_values: Sequence[float], parts: Sequence[tuple[int, Sequence[float]]], *, chart: str
) -> Markup:
    """Shares of a whole over epochs, stacked from the bottom.

    Args:
        label: what it shows, for those who do not see it.
        x_values: epochs.
        parts: style and shares, which add up to 1, of each part.
        chart: the chart's key in the page's data.
    """
    x, y = _x_axis(x_values), Axis(0.0, 1.0, HEIGHT - BOTTOM, TOP)
    below = [0.0] * len(x_values)
    body = []
    for number, shares in parts:
        above = [b + s for b, s in zip(below, shares, strict=True)]
        upper = [(x(a), y(b)) for a, b in zip(x_values, above, strict=True)]
        lower = [(x(a), y(b)) for a, b in zip(x_values, below, strict=True)]
        body.append(f'<path class="area m{number}" d="{_path([*upper, *reversed(lower)])}Z"/>')
        below = above
    return _chart(label, chart, x, "".join(body) + _frame(x, y, percent=True))


def dots(
    label: str,
    values: Sequence[tuple[str, float]],
    interval: Sequence[float] | None,
    axis: Axis,
    number: int,
    reference: float | None = None,
) -> Markup:
    """One row of a table: every value as a dot, their mean as a tick, its interval as a bar.

    Args:
        label: what it shows, for those who do not see it.
        values: name and value of each dot.
        interval: of the mean.
        axis: shared by the rows.
        number: style.
        reference: a value marked by a dashed line.
    """
    mean = sum(value for _, value in values) / len(values)
    body = [f'<line class="grid" x1="{axis(t):.1f}" x2="{axis(t):.1f}" y1="0" y2="34"/>' for t in axis.ticks]
    if reference is not None:
        body.append(f'<line class="reference" x1="{axis(reference):.1f}" x2="{axis(reference):.1f}" y1="0" y2="34"/>')
    if interval is not None:
        low, high = (min(max(axis(bound), axis.start), axis.end) for bound in interval)
        wide = max(high - low, 1)
        body.append(f'<rect class="interval m{number}" x="{low:.1f}" y="13" width="{wide:.1f}" height="8" rx="2"/>')
    body.append(f'<line class="mean m{number}" x1="{axis(mean):.1f}" x2="{axis(mean):.1f}" y1="7" y2="27"/>')
    for index, (name, value) in enumerate(values):
        # Seeds that end alike would hide each other on one line.
        height = 17 + (0, -5, 5)[index % 3]
        body.append(
            Markup('<circle class="dot m{}" cx="{:.1f}" cy="{}" r="3.6"><title>{}</title></circle>').format(
                number, axis(value), height, name
            )
        )
    return Markup('<svg class="dots" viewBox="0 0 300 34" role="img" aria-label="{}">{}</svg>').format(
        label, Markup("".join(body))
    )


def dots_axis(axis: Axis, form: str) -> Markup:
    """The labels of an axis that rows of dots share."""
    body = "".join(
        f'<text class="tick" x="{axis(t):.1f}" y="12" text-anchor="middle">{format(t, form)}</text>' for t in axis.ticks
    )
    return Markup('<svg class="dots" viewBox="0 0 300 16" aria-hidden="true">{}</svg>').format(Markup(body))


def dots_scale(values: Sequence[float], intervals: Sequence[Sequence[float] | None]) -> Axis:
    """An axis that holds all values, and all intervals unless they dwarf the values."""
    low, high = min(values), max(values)
    room = 1.5 * ((high - low) or 0.01)
    bounds = [bound for interval in intervals if interval is not None for bound in interval]
    low, high = (max(min([low, *bounds]), low - room), min(max([high, *bounds]), high + room))
    pad = 0.03 * ((high - low) or 1.0)
    return Axis(low - pad, high + pad, 12, 288)


def _x_axis(values: Sequence[float]) -> Axis:
    return Axis(min(values), max(values), LEFT, WIDTH - RIGHT)


def _frame(x: Axis, y: Axis, percent: bool) -> str:
    body = []
    for t in y.ticks:
        text = f"{t:g}" if not percent else f"{100 * t:g} %" if t == y.ticks[-1] else f"{100 * t:g}"
        body.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>')
        body.append(f'<text class="tick" x="{LEFT - 6}" y="{y(t) + 4:.1f}" text-anchor="end">{text}</text>')
    body += [
        f'<text class="tick" x="{x(t):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{t:g}</text>'
        for t in x.ticks
        if t == int(t)
    ]
    body.append(f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">epoch</text>')
    return "".join(body)


def _chart(label: str, chart: str, x: Axis, body: str) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" tabindex="0" aria-label="{}" data-chart="{}" '
        'data-x="{} {} {} {}">{}<line class="cursor" y1="{}" y2="{}" hidden/></svg>'
    ).format(WIDTH, HEIGHT, label, chart, x.low, x.high, x.start, x.end, Markup(body), TOP, HEIGHT - BOTTOM)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
