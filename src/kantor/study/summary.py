"""summary.json and the table: what each method reached, and how far it is from the student alone."""

from pathlib import Path
from statistics import fmean
from typing import Any

from rich.table import Table

from kantor.core.files import write_json
from kantor.core.reading import read_json
from kantor.study.config import Study
from kantor.study.folder import Task, read_result, stage_seconds
from kantor.study.methods import Method
from kantor.study.statistics import paired_difference, t_interval


def summarise(run: Path, config: Study, methods: list[Method], extra: dict[str, Any]) -> dict[str, Any]:
    """Gather every finished seed's result into ``summary.json``.

    Accuracies are shares in [0, 1] on the test part. ``difference`` is paired by seed with the method ``none``. A study
    without a task has neither: they are null, and ``task`` says so. ``seconds`` are those of step 0's stages, and of a
    student's training; ``peak_memory`` is the highest of its seeds, in bytes, ``memory_of`` what it counts.

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
        "started": read_json(run / "environment.json").get("started"),
        "seconds": stage_seconds(run),
        **extra,
    }
    judged = config.task != "none"
    for method in methods:
        found = results[method.name]
        seeds = sorted(found)
        summary["complete"] &= len(seeds) == len(config.seed_list())
        if not seeds:
            continue
        accuracy = [found[s]["accuracy"] for s in seeds]
        both = [s for s in seeds if s in alone] if judged and method.name != "none" else []
        difference = None
        if both:
            mean, interval = paired_difference(
                [found[s]["accuracy"] for s in both], [alone[s]["accuracy"] for s in both]
            )
            difference = {"to": "none", "mean": mean, "interval": interval, "seeds": both}
        seconds = [found[s]["seconds"] for s in seeds]
        validation = [found[s]["validation_accuracy"] for s in seeds]
        summary["methods"][method.name] = {
            "seeds": seeds,
            "accuracy": accuracy if judged else None,
            "mean": fmean(accuracy) if judged else None,
            "interval": t_interval(accuracy) if judged else None,
            "difference": difference,
            "seconds": fmean(seconds),
            "seconds_per_seed": seconds,
            "peak_memory": max((found[s]["peak_memory"] for s in seeds if "peak_memory" in found[s]), default=None),
            "memory_of": found[seeds[0]].get("memory_of"),
            "validation_accuracy": None if None in validation else validation,
            "weights": found[seeds[0]]["weights"],
        }
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
            "" if difference is None else f"{100 * difference['mean']:+.2f}",
            "" if difference is None else interval_text(difference["interval"], "+.2f"),
            f"{row['seconds']:.1f}",
        )
    return out


def _results(run: Path, method: Method, seeds: list[int]) -> dict[int, dict[str, Any]]:
    found = {seed: read_result(Task(method, seed).folder(run)) for seed in seeds}
    return {seed: result for seed, result in found.items() if result is not None}


def interval_text(interval: tuple[float, float] | None, form: str) -> str:
    """An interval of shares in %, each bound as ``form`` has it; empty where there is none."""
    return "" if interval is None else " to ".join(format(100 * bound, form) for bound in interval)
