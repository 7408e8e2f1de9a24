"""The page of ``kantor compare``, from the files it wrote."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from kantor.analysis.file_types import Comparison, KeptModel
from kantor.analysis.measures import HEADINGS, written
from kantor.core.errors import ConfigError
from kantor.core.files import write_text
from kantor.core.numbers import percent
from kantor.core.reading import read_json
from kantor.report.layer_by_layer import MATRIX_WORDS, matrices, render
from kantor.report.neurons import beside


def write_comparison(folder: Path, output: Path | None = None) -> Path:
    """Write the page of a ``compare.json``: ``report.html`` beside it unless ``output`` says where.

    Raises:
        ConfigError: there is no comparison in the folder.
    """
    content: Comparison = read_json(folder / "compare.json", Comparison, "Compare the models again.")
    if not content:
        raise ConfigError(f"{folder} has no compare.json: `kantor compare` writes it.")
    a, b, data = content["a"], content["b"], content["data"]
    view = {
        "title": f"{a['name']} and {b['name']}",
        "headline": _compared(content),
        "notes": [f"{content['cost']} cost, positions averaged; 0 is the same neurons in any order."],
        "facts": [
            *((side["name"], _model(side)) for side in (a, b)),
            *_views(content),
            ("measured on", f"{data['samples']:,} {data['part']} samples of {data['name']}"),
            ("seconds", "; ".join(f"{name} {seconds:.1f}" for name, seconds in content["seconds"].items())),
        ],
        "tables": [*_pair_table(content), *_vocabulary(content)],
        "curves": [],
        "legend": [],
        "matrices": [("", matrices(content["matrices"]))],
        "matrix_words": MATRIX_WORDS,
        "sides": (a["name"], b["name"]),
    }
    files = [("", "", beside(folder, content["neurons"]))]
    names = (a["name"], b["name"])
    samples = content["samples"] or {}
    sheets = {role: samples[side] for role, side in (("teacher", "a"), ("student", "b")) if side in samples}
    output = output or folder / "report.html"
    write_text(output, render(view, folder, files, sheets, names, "", [], content["cost"]))
    return output


def _compared(content: Comparison) -> Markup:
    pair = content["pairs"][-1]
    distance, cka = (written(name, pair[name], 2) for name in ("distance", "cka"))
    said = Markup("{} and {} are <strong>{}</strong> apart at {} and {}, CKA <strong>{}</strong>").format(
        content["a"]["name"], content["b"]["name"], distance, pair["a"], pair["b"], cka
    )
    predictions = content["predictions"]
    if predictions is not None:
        said += f"; they disagree on {percent(predictions['disagreement'])} % of the samples"
    return said


def _model(side: KeptModel) -> str:
    stages = ", ".join(f"{stage['path']} ({stage['width']})" for stage in side["stages"])
    bare = "" if side.get("trained", True) else "untrained, "
    return f"{bare}{side['parameters']:,} parameters, {side['classes']} classes; stages {stages}"


def _views(content: Comparison) -> list[tuple[str, str]]:
    views = content.get("views")  # which comparisons by an earlier kantor lack
    if views is None:
        return []
    return [("they see", f"{content['a']['name']} {views['model_a']}; {content['b']['name']} {views['model_b']}")]


def _vocabulary(content: Comparison) -> list[dict[str, Any]]:
    """Which tokens go where; nothing where both have the same, and of comparisons by an earlier kantor."""
    known = content.get("vocabulary")
    if known is None:
        return []
    heading = [f"token of {content['a']['name']}", f"tokens of {content['b']['name']}, with their shares"]
    rows = [
        [token, ", ".join(f"{name} {share:.0%}" for name, share in partners)] for token, partners in known["examples"]
    ]
    words = f"{known['summary']} The heaviest tokens that do not simply go to the same one:"
    return [{"title": "Vocabularies", "words": words, "heading": heading, "rows": rows}]


def _pair_table(content: Comparison) -> list[dict[str, Any]]:
    shown = ("distance", "identity", "gap", "diagonal", "entropy", "cka")
    rows = [
        [
            pair["a"],
            pair["b"],
            " and ".join(map(str, pair["widths"])),
            " and ".join(map(str, pair["silent"])),
            *(written(name, pair[name]) for name in shown),
            pair["reason"],
        ]
        for pair in content["pairs"]
    ]
    names = (content["a"]["name"], content["b"]["name"])
    heading = [*names, "units", "silent", *(HEADINGS[name] for name in shown), "why this pair"]
    tables = [
        {
            "title": "Paired stages",
            "words": "The gap is what the optimal plan saves over leaving units in their order; diagonal is the share "
            "of mass that stays on units of the same number. Silent units never vary, and take no part.",
            "heading": heading,
            "rows": rows,
        }
    ]
    predictions = content["predictions"]
    if predictions is None:
        words = "The two models have other classes, so their predictions are not compared."
        return [*tables, {"title": "Predictions", "words": words, "heading": [], "rows": []}]
    shares = [("they disagree", predictions["disagreement"])]
    if predictions["accuracy"] is not None:
        shares += [(f"{name} is right", share) for name, share in zip(names, predictions["accuracy"], strict=True)]
        if predictions["both_wrong"] is not None:
            shares.append(("both are wrong", predictions["both_wrong"]))
    rows = [[what, percent(share, 2)] for what, share in shares]
    words = f"Of {content['data']['samples']:,} {content['data']['part']} samples."
    return [*tables, {"title": "Predictions", "words": words, "heading": ["", "%"], "rows": rows}]
