"""What the pages of an analysis and of a comparison share: layer by layer, unit by unit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kantor.analysis.file_types import KeptSheet, NamedMatrices
from kantor.analysis.measures import written
from kantor.report import template
from kantor.report.figures import Figure, figure_data
from kantor.report.neurons import beside, data_uri, pack_neurons

SCRIPTS = ("heatmap.js", "charts.js", "confusion.js", "page.js", "neurons.js")
STYLES = ("report.css", "analysis.css")

MATRIX_WORDS = (
    "Every stage of the one against every stage of the other, positions averaged. Transport distance: 0 is the same "
    "neurons in any order; under the correlation cost 1 is what unrelated neurons cost. Linear CKA (debiased): 1 is "
    "the same representation up to rotation and scale, 0 is nothing in common. The stronger the colour, the "
    "more alike; the closest of each row is bold."
)


def render(
    view: dict[str, Any],
    folder: Path,
    files: Sequence[tuple[str, str, Path]],
    sheets: Mapping[str, KeptSheet],
    names: tuple[str, str],
    first: str,
    figures: list[Figure],
    kind: str,
) -> str:
    """The page as text.

    Args:
        view: what the template shows.
        folder: where the sheets of thumbnails are.
        files: method, seed and npz of every student's neurons, most wanted first.
        sheets: what is known of thumbnails: ``student`` has those of the second side, ``teacher`` or the name of a
            network those of the first.
        names: of the two sides.
        first: the method that is shown first.
        figures: those of ``view``.
        kind: the cost that neurons were matched by.
    """
    sets, left_out = pack_neurons(files, kind)
    # Each file is embedded once, as a custom property of the root, whoever shows its pictures.
    files_shown = {file: f"--sheet-{k}" for k, file in enumerate(dict.fromkeys(s["file"] for s in sheets.values()))}
    images = [f"{name}:url({data_uri(beside(folder, file))})" for file, name in files_shown.items()]
    shown = {role: {**s, "name": files_shown[s["file"]]} for role, s in sheets.items()}
    style = f":root {{ {'; '.join(images)} }}\n"
    data = {
        "a0": {
            "charts": figure_data(figures),
            "neurons": {"sets": sets, "names": names, "sheets": shown, "first": first},
        }
    }
    return template.render(
        "analysis.html",
        styles=STYLES,
        scripts=SCRIPTS,
        data=data,
        more=style,
        title=view["title"],
        view={**view, "has_neurons": bool(sets), "left_out": left_out},
    )


def matrices(final: NamedMatrices) -> list[dict[str, Any]]:
    """Distances and CKA of every layer with every layer, as rows of text, shade, and whether it is the row's best."""
    rows, columns = final["rows"], final["columns"]
    found = []
    for name, title in (("distance", "Transport distance"), ("cka", "Linear CKA")):
        lines = []
        for layer, values in zip(rows, final[name], strict=True):
            alike = [min(max(1 - value if name == "distance" else value, 0.0), 1.0) for value in values]
            best = min(values) if name == "distance" else max(values)
            cells = [(written(name, value), shade, value == best) for value, shade in zip(values, alike, strict=True)]
            lines.append((layer, cells))
        found.append({"name": name, "title": title, "columns": columns, "rows": lines})
    return found
