"""A comparison as tables for a terminal."""

from typing import Any

from rich.table import Table


def tables(content: dict[str, Any]) -> list[Table]:
    """Paired stages; then every stage of the first model (rows) against every stage of the second.

    Args:
        content: what ``compare.json`` holds.
    """
    a, b = content["a"]["name"], content["b"]["name"]
    pairs = _table(a, b, "units", "distance", "identity", "gap, %", "diagonal, %", "CKA")
    for pair in content["pairs"]:
        pairs.add_row(
            pair["a"],
            pair["b"],
            " and ".join(map(str, pair["widths"])),
            f"{pair['distance']:.3f}",
            f"{pair['identity']:.3f}",
            f"{100 * pair['gap']:.1f}",
            "–" if pair["diagonal"] is None else f"{100 * pair['diagonal']:.1f}",
            f"{pair['cka']:.3f}",
        )
    matrices = content["matrices"]
    every = _table("distance (CKA)", *matrices["columns"])
    for row, distances, ckas in zip(matrices["rows"], matrices["distance"], matrices["cka"], strict=True):
        every.add_row(row, *(f"{d:.3f} ({c:.2f})" for d, c in zip(distances, ckas, strict=True)))
    return [pairs, every]


def untrained(content: dict[str, Any]) -> str:
    """A sentence for each model that has no weights; empty where both have."""
    bare = [content[side]["name"] for side in ("a", "b") if not content[side].get("trained", True)]
    return " ".join(
        f"{name} has no weights and is as it was drawn: the control that tells what architecture alone does. With "
        "weights it is NAME:FILE."
        for name in bare
    )


def sentence(content: dict[str, Any]) -> str:
    """What the two models predict, in one sentence."""
    known = content["predictions"]
    if known is None:
        return "The models have other classes: their predictions are not compared."
    said = f"They disagree on {100 * known['disagreement']:.2f} % of {content['data']['samples']:,} samples"
    if known["accuracy"] is None:
        return said + "."
    right = " and ".join(f"{100 * share:.2f} %" for share in known["accuracy"])
    return f"{said}, are right on {right}, and both wrong on {100 * known['both_wrong']:.2f} %."


def _table(*headings: str) -> Table:
    table = Table(header_style="bold")
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="right" if k else "left", no_wrap=True)
    return table
