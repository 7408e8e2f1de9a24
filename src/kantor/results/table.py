"""The table of a study, for a terminal."""

from typing import Any

from rich.table import Table


def table(summary: dict[str, Any]) -> Table:
    """The summary as a table for a terminal: test accuracy in %, paired differences in points, seconds a seed.

    Without a task there are only seconds.
    """
    out = Table(header_style="bold")
    for name, align in (
        ("method", "left"),
        ("seeds", "right"),
        ("accuracy", "right"),
        ("95 % interval", "right"),
        ("to alone", "right"),
        ("95 % interval", "right"),
        ("seconds", "right"),
    ):
        out.add_column(name, justify=align, overflow="fold")  # type: ignore[arg-type]
    for name, row in summary["methods"].items():
        difference = row["difference"]
        out.add_row(
            name,
            str(len(row["seeds"])),
            "" if row["mean"] is None else f"{100 * row['mean']:.2f}",
            interval_text(row["interval"], ".2f"),
            collapsed(row) if difference is None else f"{100 * difference['mean']:+.2f}",
            "" if difference is None else interval_text(difference["interval"], "+.2f"),
            f"{row['seconds']:.1f}",
        )
    return out


def collapsed(row: dict[str, Any]) -> str:
    """In the place of a difference."""
    return f"{len(row['collapsed'])} of {len(row['seeds'])} collapsed" if row.get("collapsed") else ""


def interval_text(interval: tuple[float, float] | None, form: str) -> str:
    """An interval of shares in %, each bound as ``form`` has it; empty where there is none."""
    return "" if interval is None else " to ".join(format(100 * bound, form) for bound in interval)
