"""summary.json and the table: what each method reached, and how far it is from the student alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kantor.core.files import write_json
from kantor.core.reading import read_json
from kantor.results.files import read_result, seconds_before
from kantor.results.records import Environment, Summary
from kantor.results.rows import method_row
from kantor.study.execution.job import Job
from kantor.study.settings.methods import Method
from kantor.study.settings.resolved import ResolvedStudy


def summarise(run: Path, study: ResolvedStudy, methods: list[Method], extra: Mapping[str, Any]) -> Summary:
    """Gather every finished seed's result into ``summary.json``.

    Values are by the task's metric on the test part, ``metric`` says which it is (shares are in [0, 1]); see
    :func:`~kantor.results.rows.method_row`. A study without a task has none, nor differences: they are null, and
    ``task`` says so. ``seconds`` are those of step 0's parts, and of
    a student's training; ``peak_memory`` is the highest of its seeds, in bytes, ``memory_of`` what it counts.

    Args:
        run: the run's folder.
        study: what was asked for.
        methods: in the table's order.
        extra: further facts to keep (data, teachers, weights).
    """
    task = study.task
    scale = None if task is None else task.scale
    results = {m.name: _results(run, m, study.seeds) for m in methods}
    alone = results.get("none", {})
    rows = {
        method.name: method_row(found, {} if method.name == "none" else alone, scale)
        for method in methods
        if (found := results[method.name])
    }
    summary: Any = {
        "task": study.settings.task,
        "metric": None if scale is None else scale.record(),
        "other_metrics": [] if task is None else [metric.scale.record() for metric in task.metrics[1:]],
        "methods": rows,
        "complete": all(len(found) == len(study.seeds) for found in results.values()),
        "started": read_json(run / "environment.json", Environment).get("started"),
        "seconds": seconds_before(run),
        **extra,
    }
    write_json(run / "summary.json", summary)
    return summary


def _results(run: Path, method: Method, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
    found = {seed: read_result(Job(method, seed).folder(run)) for seed in seeds}
    return {seed: result for seed, result in found.items() if result is not None}
