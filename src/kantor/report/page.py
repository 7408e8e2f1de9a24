"""The page: what is known of each run, put into the template."""

import base64
import os
import shlex
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kantor.data.label_kinds import counted
from kantor.report import template
from kantor.report.analysis import section
from kantor.report.classes import SHOWN, changes, confusions, ends
from kantor.report.figures import figure_data, learning_curves, term_figures
from kantor.report.headline import headline_of
from kantor.report.pictures import Pictures
from kantor.report.plans import Packed
from kantor.report.probe import probed
from kantor.report.run import ALONE, Run
from kantor.report.table import results, styles, times
from kantor.results.rows import mean_of
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY

SCRIPTS = ("heatmap.js", "charts.js", "confusion.js", "plans.js", "explorer.js", "page.js")


MEMORY = {
    "cuda": "Memory is the peak of what was allocated on the GPU.",
    "process": "Memory is the peak of the whole training process: interpreter, libraries and data included.",
}


def render(
    runs: Sequence[Run], plans: Sequence[Packed | None], samples: Sequence[Pictures | None], folder: Path
) -> str:
    """The whole page as text.

    Args:
        runs: what to show.
        plans: of each, the packed plans.
        samples: of each, what they were recorded on.
        folder: where the page will be: links to pages beside the runs start there.
    """
    parts = zip(runs, plans, samples, strict=True)
    views = [_view(run, packed, probe, f"r{index}", folder) for index, (run, packed, probe) in enumerate(parts)]
    return template.render(
        "report.html",
        styles=["report.css"],
        scripts=SCRIPTS,
        data={view["id"]: view["data"] for view in views},
        title=" · ".join(run.name for run in runs),
        runs=views,
        overview=results(runs),
    )


def _view(run: Run, plans: Packed | None, probe: Pictures | None, prefix: str, folder: Path) -> dict[str, Any]:
    number = styles(run)
    curves = learning_curves(run, prefix)
    terms = term_figures(run, prefix)
    classes = _classes(run)
    drawn = {row[0] for figure in curves for row in figure.rows}  # without a task, most have no accuracy
    movement = section(run, number, prefix)
    measured = [] if movement is None else [figure for _, figures in movement["curves"] for figure in figures]
    data: dict[str, Any] = {
        "charts": figure_data([*curves, *(figure for _, figures in terms for figure in figures), *measured]),
        "styles": number,
    }
    if plans is not None:
        data["plans"] = plans.index
        if probe is not None:
            data["probe"] = probe.index
    if classes is not None:
        data["confusion"] = classes["data"]
    return {
        "id": prefix,
        "name": run.name,
        "headline": headline_of(run),
        "metric": run.scale,
        "facts": _facts(run),
        "results": results([run]) if run.methods and run.judged else None,
        "probes": probed(run),
        "moved": movement,
        "analysis": quote(os.path.relpath(run.folder / "analysis.html", folder)),
        "legend": [(number[name], name) for name in number if name in drawn],
        "curves": curves,
        "terms": terms,
        "gradient_recorded": any("gradient" in figure.title for _, figures in terms for figure in figures),
        "plans": plans,
        "sheets": probe.sheets if probe is not None and plans is not None else {},
        "excited_by": ("images" if probe.sheets else "samples") if "probe" in data and probe is not None else "",
        "classes": classes,
        "times": times(run),
        "before": _before(run),
        "memory": MEMORY.get(_memory_of(run), ""),
        "step0": run.step0,
        "checked": list(_checked(run).values()),
        "environment": run.environment,
        "config": run.config_text.strip(),
        "repeat": _repeat(run),
        "data": data,
    }


def _memory_of(run: Run) -> str:
    return next((s.result["memory_of"] for s in run.students if s.result and "memory_of" in s.result), "")


def _facts(run: Run) -> list[tuple[str, str]]:
    """The run in one line: what learned from what, on what."""
    facts = []
    data = run.step0.get("data", {})
    methods = run.step0.get("methods", {})
    if data:
        parts = ", ".join(f"{part['samples']:,} {name}" for name, part in data["parts"].items())
        classes = counted(data["classes"], data.get("kind", "classes")) if data["classes"] else "no labels"
        facts.append(("data", f"{data['data']}: {parts}; {classes}"))
    checked = next(iter(methods.values()), {})
    parameters = f", {checked['student_parameters']:,} parameters" if checked else ""
    facts.append(("student", f"{run.config.get('student', '')}{parameters}"))
    known = _checked(run)
    for teacher in run.summary.get("teachers", []):
        size = known.get(teacher["name"], {})
        more = f", {size['parameters']:,} parameters ({size['ratio']:.1f} × the student's)" if size else ""
        reached = teacher.get("reached", teacher.get("accuracy"))
        scored = "" if reached is None else f"; {_reached(run.scale, reached)} on the test part"
        sees = f"; sees {teacher['sees']}" if teacher.get("sees") else ""
        trained = f"; trained on {teacher['saw']}{scored}"
        facts.append(("teacher", f"{teacher['spec'].partition(':')[0]}{more}{sees}{trained}"))
    for method, reason in run.step0.get("left_out", {}).items():
        facts.append((f"{method} left out", reason))
    seeds = sorted({student.seed for student in run.students})
    facts.append(
        ("seeds", ", ".join(map(str, seeds)) if len(seeds) < 12 else f"{len(seeds)}, {seeds[0]} to {seeds[-1]}")
    )
    if began := run.environment.get("started"):
        facts.append(("started", f"{datetime.fromisoformat(began):%Y-%m-%d, %H:%M} UTC"))
    return facts


def _reached(scale: Scale, value: float) -> str:
    return scale.text(value, 1) if scale == ACCURACY else scale.said(value)


def _before(run: Run) -> str:
    """How long step 0 took, in words."""
    spent = [f"{seconds:,.1f} s on the {part}" for part, seconds in run.summary.get("seconds", {}).items()]
    return f"Before the students it took {' and '.join(spent)}." if spent else ""


def _checked(run: Run) -> dict[str, dict[str, Any]]:
    """Every teacher by name, as step 0 found it."""
    return {t["name"]: t for facts in run.step0.get("methods", {}).values() for t in facts.get("teachers", [])}


def _classes(run: Run) -> dict[str, Any] | None:
    found = confusions(run)
    if found is None:
        return None
    gains = {}
    for method in found.counts:
        ordered = changes(found, method)
        if ordered:
            gains[method] = [
                [c.name, round(c.points, 2), round(100 * c.alone, 2), round(100 * c.ours, 2)] for c in ends(ordered)
            ]
    counts = {
        method: base64.b64encode(zlib.compress(matrix.astype("<u4").tobytes(), 9)).decode()
        for method, matrix in found.counts.items()
    }
    best = max((m for m in run.methods if m in counts), key=lambda m: run.scale.gain(mean_of(run.methods[m])))
    data = {"names": found.names, "counts": counts, "gains": gains, "alone": ALONE if ALONE in counts else None}
    return {
        "data": data,
        "methods": list(counts),
        "chosen": best,
        "shortened": len(found.names) > 2 * SHOWN,
        "classes": len(found.names),
    }


def _repeat(run: Run) -> list[tuple[str, str]]:
    commands = []
    if typed := run.environment.get("command"):
        commands.append(("As it was typed", typed))
    config = shlex.quote(str(run.folder / "config.yaml"))
    commands.append(
        ("From this folder alone", f"kantor distill --config {config} --out {shlex.quote(str(run.folder))}-again")
    )
    return commands
