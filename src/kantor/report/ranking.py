"""The page of ``kantor rank``, from ``ranking.json``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from kantor.core.files import write_text
from kantor.faculty.ranking import Place, Ranking
from kantor.faculty.show import span, title
from kantor.report import svg, template

WORDS = (
    "Each score is higher for a better teacher. Intervals are 95 % bootstrap intervals over samples, paired for "
    "margins: one that covers zero says that chance could swap the two."
)


def write_ranking(folder: Path, output: Path | None = None) -> Path:
    """Write the page of a ``ranking.json``: ``report.html`` beside it unless ``output`` says where.

    Raises:
        DataError: there is no ranking in the folder.
    """
    ranking = Ranking.read(folder / "ranking.json")
    scores = [_scores(ranking, k, *score) for k, score in enumerate(ranking.scores.items())]
    pick, _, rest = ranking.recommendation.rstrip(".").partition("; ")
    view = {
        "title": f"ranking for {ranking.data}",
        "headline": f"{pick}.",
        "notes": [*([f"Of the others, {rest}."] if rest else []), WORDS],
        "facts": [
            ("judged on", f"{ranking.samples:,} {ranking.part} samples of {ranking.data}"),
            ("label cost", ranking.label_cost),
            ("teachers", f"{len(ranking.order)} ranked of {len(ranking.teachers)}"),
        ],
        "tables": [*scores, _teachers(ranking)],
        "curves": [],
        "legend": [],
        "matrices": [],
        "has_neurons": False,
    }
    output = output or folder / "report.html"
    styles = ["report.css", "analysis.css"]
    page = template.render("analysis.html", styles=styles, scripts=[], data={}, title=view["title"], view=view)
    write_text(output, page)
    return output


def _scores(ranking: Ranking, index: int, name: str, places: Sequence[Place]) -> dict[str, Any]:
    seconds = [ranking.teacher(place.teacher).score_seconds.get(name, 0) for place in places]
    rows: list[list[str]] = []
    axis = Markup()
    if places:
        scale = svg.dots_scale([place.score for place in places], [place.interval for place in places])
        axis = svg.dots_axis(scale, "g")
        for place, spent in zip(places, seconds, strict=True):
            said = f"{place.teacher}: {place.score:.4g}, 95 % interval {span(place.interval) or 'unknown'}"
            margin = "" if place.margin is None else f"{place.margin:.3g}"
            picture = svg.dots(said, [(place.teacher, place.score)], place.interval, scale, 0 if rows else 1)
            cells = [place.teacher, f"{place.score:.4g}", picture, span(place.interval)]
            rows.append([*cells, margin, span(place.margin_interval), f"{spent:.2f}"])
    words = "This score decides." if index == 0 else "For comparison."
    heading = ["teacher", "score", axis, "95 % interval", "to the next", "95 % interval", "seconds"]
    return {"title": title(name), "words": words, "heading": heading, "rows": rows}


def _teachers(ranking: Ranking) -> dict[str, Any]:
    rows = []
    for teacher in ranking.teachers:
        missing = "; ".join(f"no {score}: {why}" for score, why in teacher.missing.items())
        spent = [f"{teacher.passes:,}", f"{teacher.seconds:.1f}"]
        sees = "" if teacher.view is None else f", sees {teacher.view}"
        rows.append([teacher.name, teacher.model + sees, *spent, teacher.error or missing])
    words = "What was looked at, what it cost, and why a score could not be had."
    heading = ["teacher", "model", "forward passes", "seconds", "remarks"]
    return {"title": "Teachers", "words": words, "heading": heading, "rows": rows}
