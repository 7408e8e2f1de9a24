"""A comparison as tables for a terminal."""

from rich.table import Table

from kantor.analysis.file_types import Comparison
from kantor.analysis.measures import HEADINGS, written
from kantor.core.numbers import percent
from kantor.faculty.vocabulary.show import lines


def tables(content: Comparison) -> list[Table]:
    """Paired stages; then every stage of the first model (rows) against every stage of the second.

    Args:
        content: what ``compare.json`` holds.
    """
    a, b = content["a"]["name"], content["b"]["name"]
    shown = ("distance", "identity", "gap", "diagonal", "cka")
    pairs = _table(a, b, "units", *(HEADINGS[name] for name in shown))
    for pair in content["pairs"]:
        widths = " and ".join(map(str, pair["widths"]))
        pairs.add_row(pair["a"], pair["b"], widths, *(written(name, pair[name]) for name in shown))
    matrices = content["matrices"]
    every = _table("distance (CKA)", *matrices["columns"])
    for row, distances, ckas in zip(matrices["rows"], matrices["distance"], matrices["cka"], strict=True):
        every.add_row(
            row, *(f"{written('distance', d)} ({written('cka', c, 2)})" for d, c in zip(distances, ckas, strict=True))
        )
    return [pairs, every]


def untrained(content: Comparison) -> str:
    """A sentence for each model that has no weights; empty where both have."""
    bare = [side["name"] for side in (content["a"], content["b"]) if not side.get("trained", True)]
    return " ".join(
        f"{name} has no weights and is as it was drawn: the control that tells what architecture alone does. With "
        "weights it is NAME:FILE."
        for name in bare
    )


def sentence(content: Comparison) -> str:
    """What the two models predict, in one sentence."""
    known = content["predictions"]
    if known is None:
        return "Their predictions are not compared: they are no classes, or not the same ones."
    said = f"They disagree on {percent(known['disagreement'], 2)} % of {content['data']['samples']:,} samples"
    if known["accuracy"] is None:
        return said + "."
    right = " and ".join(f"{percent(share, 2)} %" for share in known["accuracy"])
    return f"{said}, are right on {right}, and both wrong on {percent(known['both_wrong'], 2)} %."


def vocabulary(content: Comparison) -> str:
    """Which tokens of the first model stand for which of the second's; empty where both have the same."""
    known = content.get("vocabulary")
    if known is None:
        return ""
    goes = [(token, [(name, share) for name, share in partners]) for token, partners in known["examples"]]
    return "\n  ".join([known["summary"], *lines(goes)])


def _table(*headings: str) -> Table:
    table = Table(header_style="bold")
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="right" if k else "left", no_wrap=True)
    return table
