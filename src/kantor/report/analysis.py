"""The pages of ``kantor analyse`` and ``kantor compare``, from the files they wrote."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from kantor.core.errors import ConfigError
from kantor.core.files import write_text
from kantor.report import svg
from kantor.report.figures import Figure, figure_data
from kantor.report.neurons import data_uri, pack_neurons
from kantor.report.page import TEMPLATES
from kantor.report.run import ALONE, read_json

SCRIPTS = ("heatmap.js", "charts.js", "confusion.js", "page.js", "neurons.js")
STYLES = ("report.css", "analysis.css")

MEASURES = (
    ("distance", "Transport distance to the teacher", False),
    ("gap", "Saved over the identity plan", True),
    ("diagonal", "Mass on the diagonal", True),
    ("changed_since_first", "Changed partner since epoch 0", True),
    ("changed_since_previous", "Changed partner since the record before", True),
    ("entropy", "Entropy of the plan", True),
)
"""Measure, title, and whether it is a share."""

MATRIX_WORDS = (
    "Every stage of the one against every stage of the other, positions averaged. Transport distance: 0 is the same "
    "neurons in any order; under the correlation cost 1 is what unrelated neurons cost. Linear CKA (debiased): 1 is "
    "the same representation up to rotation and scale, 0 is nothing in common. Darker is more alike; the closest of "
    "each row is bold."
)


def write_analysis(run: Path) -> Path:
    """Write ``analysis.html`` beside a run's ``analysis.json``.

    Raises:
        ConfigError: the run was not analysed.
    """
    content = read_json(run / "analysis.json")
    if not content:
        raise ConfigError(f"{run} has no analysis.json: `kantor analyse {run}` first.")
    methods: dict[str, Any] = content["methods"]
    number = {ALONE: 0} | {name: svg.style(k) for k, name in enumerate(m for m in methods if m != ALONE)}
    best = _closest(methods)
    files = [
        (method, str(seed), run / file)
        for method in sorted(methods, key=lambda name: name != best)
        for seed, file in zip(methods[method]["seeds"], methods[method]["neurons"], strict=True)
    ]
    probe = content["probe"]
    curves = _curves(methods, number)
    view = {
        "title": f"analysis of {content['run']}",
        "headline": _headline(methods, best),
        "notes": ["Shares and distances are means over seeds; differences are paired by seed with the student alone."],
        "facts": [
            ("measured on", f"{probe['samples']:,} {probe['part']} samples, the same for every student"),
            ("cost", f"{content['cost']}, positions averaged"),
            ("CKA", content["cka"]),
        ],
        "tables": _final_tables(methods),
        "curves": curves,
        "legend": [(number[name], name) for name in methods],
        "matrices": [
            (f"{method}, teacher {teacher}" if len(found["final"]) > 1 else method, _matrices(final))
            for method, found in methods.items()
            for teacher, final in found["final"].items()
        ],
        "matrix_words": f"Final students, means over seeds. {MATRIX_WORDS}",
        "sides": ("teacher", "student"),
    }
    sheets = [(content["samples"] or {}).get(side) for side in ("teacher", "student")]
    figures = [figure for _, some in curves for figure in some]
    output = run / "analysis.html"
    write_text(output, _page(view, run, files, sheets, ("teacher", "student"), best, figures, content["cost"]))
    return output


def write_comparison(folder: Path) -> Path:
    """Write ``compare.html`` beside a ``compare.json``.

    Raises:
        ConfigError: there is no comparison in the folder.
    """
    content = read_json(folder / "compare.json")
    if not content:
        raise ConfigError(f"{folder} has no compare.json: `kantor compare` writes it.")
    a, b, data = content["a"], content["b"], content["data"]
    matrices = content["matrices"]
    final = {"layers": {"teacher": matrices["rows"], "student": matrices["columns"]}, **matrices}
    view = {
        "title": f"{a['name']} and {b['name']}",
        "headline": _compared(content),
        "notes": [f"{content['cost']} cost, positions averaged; 0 is the same neurons in any order."],
        "facts": [
            *((side["name"], _model(side)) for side in (a, b)),
            ("measured on", f"{data['samples']:,} {data['part']} samples of {data['name']}"),
            ("seconds", "; ".join(f"{name} {seconds:.1f}" for name, seconds in content["seconds"].items())),
        ],
        "tables": _pair_table(content),
        "curves": [],
        "legend": [],
        "matrices": [("", _matrices(final))],
        "matrix_words": MATRIX_WORDS,
        "sides": (a["name"], b["name"]),
    }
    files = [("", "", folder / content["neurons"])]
    names = (a["name"], b["name"])
    output = folder / "compare.html"
    write_text(output, _page(view, folder, files, [content["samples"]] * 2, names, "", [], content["cost"]))
    return output


def _page(
    view: dict[str, Any],
    folder: Path,
    files: Sequence[tuple[str, str, Path]],
    sheets: Sequence[dict[str, Any] | None],
    names: tuple[str, str],
    first: str,
    figures: list[Figure],
    kind: str,
) -> str:
    sets, left_out = pack_neurons(files, kind)
    same = sheets[0] is not None and sheets[1] is not None and sheets[0]["file"] == sheets[1]["file"]
    # Embedded once, as a custom property of the root, where both sides show the same pictures.
    images = [f"--sheet-{side}:url({data_uri(folder / s['file'])})" for side, s in enumerate(sheets) if s]
    shown = [s and {**s, "name": "--sheet-0" if same else f"--sheet-{side}"} for side, s in enumerate(sheets)]
    style = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in STYLES)
    style += f":root {{ {'; '.join(images[:1] if same else images)} }}\n"
    data = {
        "a0": {
            "charts": figure_data(figures),
            "neurons": {"sets": sets, "names": names, "sheets": shown, "first": first},
        }
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("analysis.html").render(
        view={**view, "has_neurons": bool(sets), "left_out": left_out},
        style=Markup(style),
        script=Markup("\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)),
        # Inside a script element "<" could end it.
        data=Markup(json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")),
    )


def _last_pair(found: dict[str, Any]) -> dict[str, Any]:
    """Measures of a method's last pair of layers, of its first teacher."""
    return next(iter(found["final"].values()))["pairs"][-1]


def _closest(methods: dict[str, Any]) -> str:
    return min(methods, key=lambda name: _last_pair(methods[name])["measures"]["distance"]["mean"])


def _headline(methods: dict[str, Any], best: str) -> Markup:
    pair = _last_pair(methods[best])
    distance = pair["measures"]["distance"]
    seeds = len(methods[best]["seeds"])
    said = Markup("<em>{}</em> ends closest to the teacher: transport distance <strong>{:.2f}</strong> at {}").format(
        best, distance["mean"], pair["student"]
    )
    difference = distance["difference"]
    if difference is not None:
        said += Markup(", <strong>{}</strong> to the student alone").format(_signed(difference["mean"]))
        if difference["interval"] is not None:
            said += f", 95 % interval {' to '.join(map(_signed, difference['interval']))}"
    return said + f" ({seeds} {'seed' if seeds == 1 else 'seeds'})"


def _compared(content: dict[str, Any]) -> Markup:
    pair = content["pairs"][-1]
    said = Markup("{} and {} are <strong>{:.2f}</strong> apart at {} and {}, CKA <strong>{:.2f}</strong>").format(
        content["a"]["name"], content["b"]["name"], pair["distance"], pair["a"], pair["b"], pair["cka"]
    )
    predictions = content["predictions"]
    if predictions is not None:
        said += f"; they disagree on {100 * predictions['disagreement']:.1f} % of the samples"
    return said


def _model(side: dict[str, Any]) -> str:
    stages = ", ".join(f"{stage['path']} ({stage['width']})" for stage in side["stages"])
    return f"{side['parameters']:,} parameters, {side['classes']} classes; stages {stages}"


def _final_tables(methods: dict[str, Any]) -> list[dict[str, Any]]:
    tables = []
    for teacher, final in next(iter(methods.values()))["final"].items():
        for k, pair in enumerate(final["pairs"]):
            rows = [_final_row(name, found["final"][teacher]["pairs"][k]) for name, found in methods.items()]
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


def _final_row(name: str, pair: dict[str, Any]) -> list[str]:
    measures = pair["measures"]
    distance, difference = measures["distance"], measures["distance"]["difference"]
    return [
        name,
        f"{distance['mean']:.3f}",
        _interval(distance["interval"], lambda v: f"{v:.3f}"),
        "–" if difference is None else _signed(difference["mean"], 3),
        "" if difference is None else _interval(difference["interval"], lambda v: _signed(v, 3)),
        f"{measures['identity']['mean']:.3f}",
        f"{100 * measures['gap']['mean']:.1f}",
        "–" if measures["diagonal"]["mean"] is None else f"{100 * measures['diagonal']['mean']:.1f}",
        f"{measures['cka']['mean']:.3f}",
        str(len(distance["last"])),
    ]


def _pair_table(content: dict[str, Any]) -> list[dict[str, Any]]:
    heading = [content["a"]["name"], content["b"]["name"], "units", "silent", "distance", "identity plan", "gap, %"]
    rows = [
        [
            pair["a"],
            pair["b"],
            " and ".join(map(str, pair["widths"])),
            " and ".join(map(str, pair["silent"])),
            f"{pair['distance']:.3f}",
            f"{pair['identity']:.3f}",
            f"{100 * pair['gap']:.1f}",
            "–" if pair["diagonal"] is None else f"{100 * pair['diagonal']:.1f}",
            f"{100 * pair['entropy']:.1f}",
            f"{pair['cka']:.3f}",
            pair["reason"],
        ]
        for pair in content["pairs"]
    ]
    tables = [
        {
            "title": "Paired stages",
            "words": "The gap is what the optimal plan saves over leaving units in their order; diagonal is the share "
            "of mass that stays on units of the same number. Silent units never vary, and take no part.",
            "heading": [*heading, "diagonal, %", "entropy, %", "CKA", "why this pair"],
            "rows": rows,
        }
    ]
    predictions = content["predictions"]
    if predictions is None:
        words = "The two models have other classes, so their predictions are not compared."
        return [*tables, {"title": "Predictions", "words": words, "heading": [], "rows": []}]
    shares = [("they disagree", predictions["disagreement"])]
    if predictions["accuracy"] is not None:
        names = (content["a"]["name"], content["b"]["name"])
        shares += [(f"{name} is right", share) for name, share in zip(names, predictions["accuracy"], strict=True)]
        shares.append(("both are wrong", predictions["both_wrong"]))
    rows = [[what, f"{100 * share:.2f}"] for what, share in shares]
    words = f"Of {content['data']['samples']:,} {content['data']['part']} samples."
    return [*tables, {"title": "Predictions", "words": words, "heading": ["", "%"], "rows": rows}]


def _curves(methods: dict[str, Any], number: dict[str, int]) -> list[tuple[str, list[Figure]]]:
    groups = []
    for k in range(min(len(found["recorded"]) for found in methods.values())):
        pair = next(iter(methods.values()))["recorded"][k]
        binned = ", in groups of neurons as they were recorded" if pair["binned"] else ""
        figures = [
            figure
            for name, title, percent in MEASURES
            if (figure := _curve(methods, number, k, name, title, percent)) is not None
        ]
        if figures:
            groups.append((f"Over epochs: {pair['teacher']} to {pair['student']}{binned}", figures))
    return groups


def _curve(
    methods: dict[str, Any], number: dict[str, int], k: int, name: str, title: str, percent: bool
) -> Figure | None:
    series, rows, known = [], [], {}
    for method, found in methods.items():
        pair = found["recorded"][k]
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
    chart, scale, unit = f"a0-{k}-{name}", 100 if percent else 1, " %" if percent else ""
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


def _matrices(final: dict[str, Any]) -> list[dict[str, Any]]:
    rows, columns = final["layers"]["teacher"], final["layers"]["student"]
    found = []
    for name, title in (("distance", "Transport distance"), ("cka", "Linear CKA")):
        lines = []
        for layer, values in zip(rows, final[name], strict=True):
            alike = [min(max(1 - value if name == "distance" else value, 0.0), 1.0) for value in values]
            best = min(values) if name == "distance" else max(values)
            cells = [(f"{value:.3f}", shade, value == best) for value, shade in zip(values, alike, strict=True)]
            lines.append((layer, cells))
        found.append({"name": name, "title": title, "columns": columns, "rows": lines})
    return found


def _signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _interval(interval: Sequence[float] | None, form: Any) -> str:
    return "" if interval is None else " to ".join(form(bound) for bound in interval)
