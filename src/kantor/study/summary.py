"""summary.json and the table: what each method reached, and how far it is from the student alone."""

from pathlib import Path
from typing import Any

from rich.table import Table

from kantor.core.files import write_json
from kantor.core.reading import read_json
from kantor.study.compared import method_row
from kantor.study.config import Study
from kantor.study.folder import Task, read_result, stage_seconds
from kantor.study.kept import Environment
from kantor.study.methods import Method


def summarise(run: Path, config: Study, methods: list[Method], extra: dict[str, Any]) -> dict[str, Any]:
    """Gather every finished seed's result into ``summary.json``.

    Accuracies are shares in [0, 1] on the test part; see :func:`~kantor.study.compared.method_row`. A study without a
    task has none, nor differences: they are null, and ``task`` says so. ``seconds`` are those of step 0's stages, and
    of a student's training; ``peak_memory`` is the highest of its seeds, in bytes, ``memory_of`` what it counts.

    Args:
        run: the run's folder.
        config: its settings.
        methods: in the table's order.
        extra: further facts to keep (data, teachers, weights).
    """
    results = {m.name: _results(run, m, config.seed_list()) for m in methods}
    alone = results.get("none", {})
    summary: dict[str, Any] = {
        "task": config.task,
        "methods": {},
        "complete": True,
        "started": read_json(run / "environment.json", Environment).get("started"),
        "seconds": stage_seconds(run),
        **extra,
    }
    judged = config.task != "none"
    for method in methods:
        found = results[method.name]
        summary["complete"] &= len(found) == len(config.seed_list())
        if not found:
            continue
        summary["methods"][method.name] = method_row(found, {} if method.name == "none" else alone, judged=judged)
    write_json(run / "summary.json", summary)
    return summary


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


def _results(run: Path, method: Method, seeds: list[int]) -> dict[int, dict[str, Any]]:
    found = {seed: read_result(Task(method, seed).folder(run)) for seed in seeds}
    return {seed: result for seed, result in found.items() if result is not None}


def interval_text(interval: tuple[float, float] | None, form: str) -> str:
    """An interval of shares in %, each bound as ``form`` has it; empty where there is none."""
    return "" if interval is None else " to ".join(format(100 * bound, form) for bound in interval)
