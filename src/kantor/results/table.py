"""The table of a study, for a terminal."""

from rich.table import Table

from kantor.core.markdown import text
from kantor.results.records import Row, Summary
from kantor.tasks import Scale


def table(summary: Summary) -> Table:
    """The summary as a table for a terminal: the task's metric on the test part, paired differences, seconds a seed.

    Shares are in %, their differences in points. The task's other metrics are means. Without a task there are only
    seconds.
    """
    scale = Scale.parse(summary.get("metric"))
    others = [Scale.parse(record) for record in summary.get("other_metrics", [])]
    out = Table(header_style="bold")
    for name, align in (
        ("method", "left"),
        ("seeds", "right"),
        (scale.name, "right"),
        ("95 % interval", "right"),
        ("to alone", "right"),
        ("95 % interval", "right"),
        *((other.name, "right") for other in others),
        ("seconds", "right"),
    ):
        out.add_column(name, justify=align, overflow="fold")  # type: ignore[arg-type]
    for name, row in summary["methods"].items():
        difference, reached = row["difference"], row.get("others", {})
        out.add_row(
            name,
            str(len(row["seeds"])),
            "" if row["mean"] is None else scale.number(row["mean"]),
            scale.interval(row["interval"]),
            collapsed(row) if difference is None else scale.signed(difference["mean"]),
            "" if difference is None else scale.interval(difference["interval"], signed=True),
            *(other.number(reached[other.name]) if other.name in reached else "" for other in others),
            f"{row['seconds']:.1f}",
        )
    return out


def markdown(summary: Summary) -> str:
    """The same in Markdown, for a page: the metric, its interval, and the paired difference to the student alone."""
    scale = Scale.parse(summary.get("metric"))
    lines = [
        f"| method | seeds | {scale.heading} | 95 % interval | to the student alone | 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in summary["methods"].items():
        difference = row["difference"]
        cells = [
            text(name),
            str(len(row["seeds"])),
            "" if row["mean"] is None else scale.number(row["mean"]),
            scale.interval(row["interval"]),
            collapsed(row) if difference is None else scale.signed(difference["mean"]),
            "" if difference is None else scale.interval(difference["interval"], signed=True),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def collapsed(row: Row) -> str:
    """In the place of a difference."""
    return f"{len(row.get('collapsed', {}))} of {len(row['seeds'])} collapsed" if row.get("collapsed") else ""
