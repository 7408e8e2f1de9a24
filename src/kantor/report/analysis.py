"""What ``kantor analyse`` found, from the files it wrote: a page of its own, and a part of the run's."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from kantor.analysis.file_types import Analysis
from kantor.core.errors import ConfigError
from kantor.core.files import write_text
from kantor.core.reading import read_json
from kantor.report import svg
from kantor.report.figures import Figure
from kantor.report.layer_by_layer import MATRIX_WORDS, matrices, render
from kantor.report.neurons import beside
from kantor.report.run import ALONE, Run
from kantor.results.movement import decimals
from kantor.results.statistics import few

MEASURES = (
    ("distance", "Transport distance to the teacher", False),
    ("gap", "Saved over the identity plan", True),
    ("diagonal", "Mass on the diagonal", True),
    ("changed_since_first", "Changed partner since epoch 0", True),
    ("changed_since_previous", "Changed partner since the record before", True),
    ("entropy", "Entropy of the plan", True),
)
"""Measure, title, and whether it is a share."""
AGAIN = "Delete it and `kantor analyse` the run again."


def write_analysis(run: Path) -> Path:
    """Write ``analysis.html`` beside a run's ``analysis.json``.

    Raises:
        ConfigError: the run was not analysed.
    """
    content = read_json(run / "analysis.json", Analysis, AGAIN)
    if not content:
        raise ConfigError(f"{run} has no analysis.json: `kantor analyse {run}` first.")
    methods: dict[str, Any] = content["methods"]
    number = {ALONE: 0} | {name: svg.style(k) for k, name in enumerate(m for m in methods if m != ALONE)}
    best = _closest(methods)
    files = [
        (method, str(seed), beside(run, file))
        for method in sorted(methods, key=lambda name: name != best)
        for seed, file in zip(methods[method]["seeds"], methods[method]["neurons"], strict=True)
    ]
    probe = content["probe"]
    curves = _curves(methods, number, "a0")
    view = {
        "title": f"analysis of {content['run']}",
        "headline": _headline(methods, best),
        "notes": [
            note
            for note in (
                "Shares and distances are means over seeds; differences are paired by seed with the student alone.",
                few(len(found["seeds"]) for found in methods.values()),
                _unfinished(content),
            )
            if note
        ],
        "facts": [
            ("measured on", f"{probe['samples']:,} {probe['part']} samples, the same for every student"),
            ("cost", f"{content['cost']}, positions averaged"),
            ("CKA", content["cka"]),
        ],
        "tables": _final_tables(methods),
        "curves": curves,
        "legend": [(number[name], name) for name in methods],
        "matrices": [
            (f"{method}, teacher {teacher}" if len(found["final"]) > 1 else method, matrices(final))
            for method, found in methods.items()
            for teacher, final in found["final"].items()
        ],
        "matrix_words": f"Final students, means over seeds. {MATRIX_WORDS}",
        "sides": ("teacher", "student"),
    }
    figures = [figure for _, some in curves for figure in some]
    output = run / "analysis.html"
    write_text(
        output,
        render(view, run, files, content["samples"] or {}, ("teacher", "student"), best, figures, content["cost"]),
    )
    return output


def section(run: Run, number: dict[str, int], prefix: str) -> dict[str, Any] | None:
    """The analysis in short, for the run's page: the headline, final students, and distances over epochs.

    Args:
        run: the run.
        number: style of each method.
        prefix: of the page's charts.

    Returns:
        None where the run was not analysed.
    """
    content = read_json(run.folder / "analysis.json", Analysis, AGAIN)
    if not content:
        return None
    methods: dict[str, Any] = content["methods"]
    number = {name: number.get(name, svg.style(k)) for k, name in enumerate(methods)}
    return {
        "headline": _headline(methods, _closest(methods)),
        "behind": _behind(run, methods) or _unfinished(content),
        "tables": _final_tables(methods),
        "curves": [(title, figures[:1]) for title, figures in _curves(methods, number, f"{prefix}-moved")],
        "legend": [(number[name], name) for name in methods],
    }


def _unfinished(content: dict[str, Any]) -> str:
    """A sentence where students were not finished when the analysis was made; empty else."""
    known = content.get("students")  # which analyses by an earlier kantor lack
    if known is None or known["analysed"] == known["asked"]:
        return ""
    return f"{known['analysed']} of {known['asked']} students were finished when this was made, and are in it."


def _behind(run: Run, methods: dict[str, Any]) -> str:
    """A sentence where students were finished after the analysis; empty else."""
    finished = [student for student in run.students if student.result is not None]
    new = [s for s in finished if s.seed not in methods.get(s.method, {"seeds": []})["seeds"]]
    if not new:
        return ""
    return (
        f"{len(new)} of {len(finished)} students were finished after this was made and are not in it: `kantor analyse` "
        "the run again."
    )


def _last_pair(found: dict[str, Any]) -> dict[str, Any]:
    """Measures of a method's last pair of layers, of its first teacher."""
    return next(iter(found["final"].values()))["pairs"][-1]


def _closest(methods: dict[str, Any]) -> str:
    return min(methods, key=lambda name: _last_pair(methods[name])["measures"]["distance"]["mean"])


def _headline(methods: dict[str, Any], best: str) -> Markup:
    pair = _last_pair(methods[best])
    distance = pair["measures"]["distance"]
    digits = decimals(_last_pair(found)["measures"]["distance"]["mean"] for found in methods.values())
    seeds = len(methods[best]["seeds"])
    said = Markup("<em>{}</em> ends closest to the teacher: transport distance <strong>{:.{}f}</strong> at {}").format(
        best, distance["mean"], digits, pair["student"]
    )
    difference = distance["difference"]
    if difference is not None:
        said += Markup(", <strong>{}</strong> to the student alone").format(_signed(difference["mean"], digits))
        if difference["interval"] is not None:
            low, high = difference["interval"]
            said += f", 95 % interval {_signed(low, digits)} to {_signed(high, digits)}"
            said += ", so not told apart from it" if low <= 0 <= high else ""
    return said + f" ({seeds} {'seed' if seeds == 1 else 'seeds'})"


def _final_tables(methods: dict[str, Any]) -> list[dict[str, Any]]:
    tables = []
    for teacher, final in next(iter(methods.values()))["final"].items():
        for k, pair in enumerate(final["pairs"]):
            of_methods = {name: found["final"][teacher]["pairs"][k] for name, found in methods.items()}
            digits = decimals([found["measures"]["distance"]["mean"] for found in of_methods.values()])
            rows = [_final_row(name, found, digits) for name, found in of_methods.items()]
            square = pair["widths"][0] == pair["widths"][1]
            heading = ["method", "distance", "95 % interval", "to alone", "95 % interval", "identity plan", "gap, %"]
            words = (
                f"{pair['widths'][0]} units of the teacher's {pair['teacher']} and {pair['widths'][1]} of the "
                f"student's {pair['student']}. The gap is what the optimal plan saves over leaving units in their "
                f"order{'' if square else ' (blocks, since widths differ)'}."
            )
            of = f" ({teacher})" if len(next(iter(methods.values()))["final"]) > 1 else ""
            tables.append(
                {
                    "title": f"Final students at {pair['student']}{of}",
                    "words": words,
                    "heading": [*heading, *(["diagonal, %"] if square else []), "CKA", "seeds"],
                    "rows": [row if square else row[:7] + row[8:] for row in rows],
                }
            )
    return tables


def _final_row(name: str, pair: dict[str, Any], digits: int) -> list[str]:
    measures = pair["measures"]
    distance, difference = measures["distance"], measures["distance"]["difference"]
    return [
        name,
        f"{distance['mean']:.{digits}f}",
        _interval(distance["interval"], lambda v: f"{v:.{digits}f}"),
        "–" if difference is None else _signed(difference["mean"], digits),
        "" if difference is None else _interval(difference["interval"], lambda v: _signed(v, digits)),
        f"{measures['identity']['mean']:.{digits}f}",
        f"{100 * measures['gap']['mean']:.1f}",
        "–" if measures["diagonal"]["mean"] is None else f"{100 * measures['diagonal']['mean']:.1f}",
        f"{measures['cka']['mean']:.3f}",
        str(len(distance["last"])),
    ]


def _curves(methods: dict[str, Any], number: dict[str, int], prefix: str) -> list[tuple[str, list[Figure]]]:
    groups = []
    for k in range(min(len(found["recorded"]) for found in methods.values())):
        recorded = {method: found["recorded"][k] for method, found in methods.items()}
        pair = next(iter(recorded.values()))
        binned = ", in groups of neurons as they were recorded" if pair["binned"] else ""
        figures = [
            figure
            for measure in MEASURES
            if (figure := _curve(recorded, number, f"{prefix}-{k}-{measure[0]}", measure)) is not None
        ]
        if figures:
            groups.append((f"Over epochs: {pair['teacher']} to {pair['student']}{binned}", figures))
    return groups


def _curve(
    recorded: dict[str, Any], number: dict[str, int], chart: str, measure: tuple[str, str, bool]
) -> Figure | None:
    """One measure of one pair of layers over epochs; ``recorded`` is by method, ``number`` its colour's."""
    name, title, percent = measure
    series, rows, known = [], [], {}
    for method, pair in recorded.items():
        columns = list(zip(pair["epochs"], *pair["measures"][name]["seeds"], strict=True))
        columns = [(epoch, values) for epoch, *values in columns if all(value is not None for value in values)]
        if len(columns) < 2:
            continue
        epochs = [epoch for epoch, _ in columns]
        mean = [sum(values) / len(values) for _, values in columns]
        low, high = ([end(values) for _, values in columns] for end in (min, max))
        series.append(svg.Series(number[method], epochs, mean, low, high))
        known[method] = dict(zip(epochs, mean, strict=True))
        scale = 100 if percent else 1
        rows.append(
            [method, *(f"{scale * v:.3g}" for v in (mean[0], mean[len(mean) // 2], mean[-1], low[-1], high[-1]))]
        )
    if not series:
        return None
    epochs = sorted({epoch for values in known.values() for epoch in values})
    scale, unit = 100 if percent else 1, " %" if percent else ""
    ends = "; ".join(f"{row[0]} {row[3]}{unit}" for row in rows)
    values = [[values.get(epoch, math.nan) for epoch in epochs] for values in known.values()]
    data = {
        "names": list(known),
        "epochs": epochs,
        "values": [[float(f"{scale * v:.4g}") if math.isfinite(v) else None for v in row] for row in values],
        "unit": unit,
    }
    return Figure(
        title,
        svg.lines(f"{title} over epochs. At the end: {ends}.", series, chart=chart, percent=percent, y_low=0.0),
        [],
        ["method", "first", "halfway", "last", "lowest seed", "highest seed"],
        rows,
        {chart: data},
    )


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _interval(interval: Sequence[float] | None, form: Any) -> str:
    return "" if interval is None else " to ".join(form(bound) for bound in interval)
