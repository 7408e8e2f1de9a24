"""What ``kantor analyse`` found, from the files it wrote: a page of its own, and a part of the run's."""

from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from markupsafe import Markup

from kantor.analysis.file_types import AnalysedMethod, Analysis, Final, FinalPair, RecordedPair
from kantor.analysis.measures import HEADINGS, SHARES, decimals, written
from kantor.core.errors import ConfigError, DataError
from kantor.core.files import write_text
from kantor.core.numbers import UNKNOWN, between, fixed, true_minus
from kantor.core.reading import read_json
from kantor.report import svg
from kantor.report.curves import Curve
from kantor.report.figures import Figure, over_epochs
from kantor.report.layer_by_layer import MATRIX_WORDS, matrices, render
from kantor.report.neurons import beside
from kantor.report.run import ALONE, Run
from kantor.results.statistics import few

TITLES = {
    "distance": "Transport distance to the teacher",
    "gap": "Saved over the identity plan",
    "diagonal": "Mass on the diagonal",
    "changed_since_first": "Changed partner since epoch 0",
    "changed_since_previous": "Changed partner since the record before",
    "entropy": "Entropy of the plan",
}
"""Of what is drawn over epochs, by measure."""
AGAIN = "Delete it and `kantor analyse` the run again."


def write_analysis(run: Path) -> Path:
    """Write ``analysis.html`` beside a run's ``analysis.json``.

    Raises:
        ConfigError: the run was not analysed.
    """
    content = _read(run)
    if not content:
        raise ConfigError(f"{run} has no analysis.json: `kantor analyse {run}` first.")
    methods = content["methods"]
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
            (f"{method}, teacher {teacher}" if len(found["final"]) > 1 else method, _matrices(final))
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
    content = _read(run.folder)
    if not content:
        return None
    methods = content["methods"]
    number = {name: number.get(name, svg.style(k)) for k, name in enumerate(methods)}
    return {
        "headline": _headline(methods, _closest(methods)),
        "behind": _behind(run, methods) or _unfinished(content),
        "tables": _final_tables(methods),
        "curves": [(title, figures[:1]) for title, figures in _curves(methods, number, f"{prefix}-moved")],
        "legend": [(number[name], name) for name in methods],
    }


def _read(run: Path) -> Analysis | None:
    """The analysis of a run, if there is one.

    Raises:
        DataError: it was damaged.
    """
    path = run / "analysis.json"
    content: Analysis = read_json(path, Analysis, AGAIN)
    if not content:
        return None
    finals = [found["final"].values() for found in content["methods"].values()]
    if not finals or not all(final and all(one["pairs"] for one in final) for final in finals):
        raise DataError(f"{path} cannot be used: a method lacks its layers. {AGAIN}")
    return content


def _matrices(final: Final) -> list[dict[str, Any]]:
    rows, columns = final["layers"]["teacher"], final["layers"]["student"]
    return matrices({"rows": rows, "columns": columns, "distance": final["distance"], "cka": final["cka"]})


def _unfinished(content: Analysis) -> str:
    """A sentence where students were not finished when the analysis was made; empty else."""
    known = content.get("students")  # which analyses by an earlier kantor lack
    if known is None or known["analysed"] == known["asked"]:
        return ""
    return f"{known['analysed']} of {known['asked']} students were finished when this was made, and are in it."


def _behind(run: Run, methods: dict[str, AnalysedMethod]) -> str:
    """A sentence where students were finished after the analysis; empty else."""
    finished = [student for student in run.students if student.result is not None]
    new = [s for s in finished if s.seed not in methods.get(s.method, {"seeds": []})["seeds"]]
    if not new:
        return ""
    return (
        f"{len(new)} of {len(finished)} students were finished after this was made and are not in it: `kantor analyse` "
        "the run again."
    )


def _last_pair(found: AnalysedMethod) -> FinalPair:
    """Measures of a method's last pair of layers, of its first teacher."""
    return next(iter(found["final"].values()))["pairs"][-1]


def _closest(methods: dict[str, AnalysedMethod]) -> str:
    return min(methods, key=lambda name: _last_pair(methods[name])["measures"]["distance"]["mean"])


def _headline(methods: dict[str, AnalysedMethod], best: str) -> Markup:
    pair = _last_pair(methods[best])
    distance = pair["measures"]["distance"]
    digits = decimals(_last_pair(found)["measures"]["distance"]["mean"] for found in methods.values())
    seeds = len(methods[best]["seeds"])
    said = Markup("<em>{}</em> ends closest to the teacher: transport distance <strong>{}</strong> at {}").format(
        best, written("distance", distance["mean"], digits), pair["student"]
    )
    difference = distance["difference"]
    if difference is not None:
        signed = partial(_signed, digits=digits)
        said += Markup(", <strong>{}</strong> to the student alone").format(signed(difference["mean"]))
        if difference["interval"] is not None:
            low, high = difference["interval"]
            said += f", 95 % interval {between((low, high), signed)}"
            said += ", so not told apart from it" if low <= 0 <= high else ""
    return said + f" ({seeds} {'seed' if seeds == 1 else 'seeds'})"


def _final_tables(methods: dict[str, AnalysedMethod]) -> list[dict[str, Any]]:
    tables = []
    for teacher, final in next(iter(methods.values()))["final"].items():
        for k, pair in enumerate(final["pairs"]):
            of_methods = {name: found["final"][teacher]["pairs"][k] for name, found in methods.items()}
            digits = decimals([found["measures"]["distance"]["mean"] for found in of_methods.values()])
            rows = [_final_row(name, found, digits) for name, found in of_methods.items()]
            square = pair["widths"][0] == pair["widths"][1]
            shown = [HEADINGS[name] for name in ("identity", "gap", *(["diagonal"] if square else []), "cka")]
            heading = ["method", HEADINGS["distance"], "95 % interval", "to alone", "95 % interval", *shown, "seeds"]
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
                    "heading": heading,
                    "rows": [row if square else row[:7] + row[8:] for row in rows],
                }
            )
    return tables


def _final_row(name: str, pair: FinalPair, digits: int) -> list[str]:
    measures = pair["measures"]
    distance, difference = measures["distance"], measures["distance"]["difference"]
    signed = partial(_signed, digits=digits)
    return [
        name,
        written("distance", distance["mean"], digits),
        between(distance["interval"], lambda bound: written("distance", bound, digits)),
        UNKNOWN if difference is None else signed(difference["mean"]),
        between(difference and difference["interval"], signed),
        written("identity", measures["identity"]["mean"], digits),
        *(written(measure, measures[measure]["mean"]) for measure in ("gap", "diagonal", "cka")),
        str(len(distance["last"])),
    ]


def _signed(value: float, digits: int) -> str:
    return true_minus(fixed(value, digits, signed=True))


def _curves(methods: dict[str, AnalysedMethod], number: dict[str, int], prefix: str) -> list[tuple[str, list[Figure]]]:
    groups = []
    for k in range(min(len(found["recorded"]) for found in methods.values())):
        recorded = {method: found["recorded"][k] for method, found in methods.items()}
        pair = next(iter(recorded.values()))
        binned = ", in groups of neurons as they were recorded" if pair["binned"] else ""
        figures = []
        for measure, title in TITLES.items():
            drawn = [c for name, found in recorded.items() if (c := _curve(name, found, measure)) is not None]
            if drawn:
                chart, share = f"{prefix}-{k}-{measure}", measure in SHARES
                figures.append(over_epochs(title, drawn, number, chart, percent=share, y_low=0.0))
        if figures:
            groups.append((f"Over epochs: {pair['teacher']} to {pair['student']}{binned}", figures))
    return groups


def _curve(method: str, pair: RecordedPair, measure: str) -> Curve | None:
    """One measure of one pair of layers over the epochs at which every seed has it; None for fewer than two."""
    columns = zip(pair["epochs"], *pair["measures"][measure]["seeds"], strict=True)
    known = [(epoch, values) for epoch, *values in columns if all(value is not None for value in values)]
    if len(known) < 2:
        return None
    low, high = ([end(values) for _, values in known] for end in (min, max))
    return Curve(method, [epoch for epoch, _ in known], [fmean(values) for _, values in known], low, high)
