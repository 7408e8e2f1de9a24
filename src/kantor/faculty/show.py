"""A ranking as tables for a terminal."""

from rich.table import Table

from kantor.core.imported import is_path
from kantor.faculty.ranking import Interval, Ranking


def tables(ranking: Ranking) -> list[Table]:
    """The deciding score with its margins, then all scores side by side."""
    first, places = next(iter(ranking.scores.items()))
    deciding = _table("teacher", first, "95 % interval", "to the next", "95 % interval", "passes", "seconds")
    for p in places:
        teacher = ranking.teacher(p.teacher)
        deciding.add_row(
            p.teacher,
            f"{p.score:.4g}",
            span(p.interval),
            "" if p.margin is None else f"{p.margin:.3g}",
            span(p.margin_interval),
            f"{teacher.passes:,}",
            f"{teacher.seconds:.1f}",
        )
    if len(ranking.scores) == 1:
        return [deciding]
    every = _table("teacher", *map(title, ranking.scores))
    rows = [*ranking.order, *(t.name for t in ranking.teachers if t.name not in ranking.order and t.scores)]
    for name in rows:
        scores = ranking.teacher(name).scores
        every.add_row(name, *(f"{scores[s]:.3g}" if s in scores else "" for s in ranking.scores))
    return [deciding, every]


def _table(*headings: str) -> Table:
    table = Table(header_style="bold")
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="right" if k else "left", overflow="fold")
    return table


def span(interval: Interval) -> str:
    """An interval in words, empty where there is none."""
    return "" if interval is None else f"{interval[0]:.3g} to {interval[1]:.3g}"


def title(score: str) -> str:
    """A score's name as a heading; one of the user's own stays a path."""
    return score if is_path(score) else score.replace("_", " ")
