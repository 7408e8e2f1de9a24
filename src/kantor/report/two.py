"""What the pages of an analysis and of a comparison share: layer by layer, unit by unit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kantor.report import template
from kantor.report.figures import Figure, figure_data
from kantor.report.neurons import data_uri, pack_neurons

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
    sheets: Sequence[dict[str, Any] | None],
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
        sheets: of each side, what is known of its thumbnails.
        names: of the two sides.
        first: the method that is shown first.
        figures: those of ``view``.
        kind: the cost that neurons were matched by.
    """
    sets, left_out = pack_neurons(files, kind)
    same = sheets[0] is not None and sheets[1] is not None and sheets[0]["file"] == sheets[1]["file"]
    # Embedded once, as a custom property of the root, where both sides show the same pictures.
    images = [f"--sheet-{side}:url({data_uri(folder / s['file'])})" for side, s in enumerate(sheets) if s]
    shown = [s and {**s, "name": "--sheet-0" if same else f"--sheet-{side}"} for side, s in enumerate(sheets)]
    style = f":root {{ {'; '.join(images[:1] if same else images)} }}\n"
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
        view={**view, "has_neurons": bool(sets), "left_out": left_out},
    )


def matrices(final: dict[str, Any]) -> list[dict[str, Any]]:
    """Distances and CKA of every layer with every layer, as rows of text, shade, and whether it is the row's best."""
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
