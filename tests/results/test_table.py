"""The table of a study on a terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from kantor.results.table import table


def shown(summary: dict[str, Any]) -> list[list[str]]:
    """Headings and rows, cell by cell."""
    to = Console(file=io.StringIO(), width=200)
    to.print(table(summary))
    assert isinstance(to.file, io.StringIO)
    lines = [line for line in to.file.getvalue().splitlines() if line[0] in "┃│"]
    return [[cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")] for line in lines]


def row(mean: float | None, **changes: Any) -> dict[str, Any]:
    known = {"seeds": [0, 1], "mean": mean, "interval": None, "difference": None, "others": {}, "seconds": 2.04}
    return known | changes


def test_shares_are_in_per_cent_and_their_differences_in_points():
    difference = {"to": "none", "mean": 0.0435, "interval": [-0.01, 0.097]}
    methods = {
        "none": row(0.5, interval=[0.4, 0.6]),
        "kd": row(0.54351, interval=[0.5, 0.587], difference=difference),
    }
    assert shown({"methods": methods}) == [
        ["method", "seeds", "accuracy", "95 % interval", "to alone", "95 % interval", "seconds"],
        ["none", "2", "50.00", "40.00 to 60.00", "", "", "2.0"],
        ["kd", "2", "54.35", "50.00 to 58.70", "+4.35", "-1.00 to +9.70", "2.0"],
    ]


def test_another_metric_has_its_name_and_its_digits():
    difference = {"to": "none", "mean": -0.25, "interval": None}
    methods = {"none": row(12.5), "kd": row(12.25, difference=difference, others={"R2": 0.5})}
    rmse = {"name": "RMSE", "unit": "m", "higher_is_better": False}
    others = [{"name": "R2", "unit": "", "higher_is_better": True}]
    assert shown({"methods": methods, "metric": rmse, "other_metrics": others}) == [
        ["method", "seeds", "RMSE", "95 % interval", "to alone", "95 % interval", "R2", "seconds"],
        ["none", "2", "12.5", "", "", "", "", "2.0"],
        ["kd", "2", "12.2", "", "-0.250", "", "0.500", "2.0"],
    ]


def test_students_that_collapsed_stand_in_the_place_of_a_difference():
    _, cells = shown({"methods": {"kd": row(0.3, collapsed={"1": {"epoch": 2, "signs": []}})}})
    assert cells[4:6] == ["1 of 2 collapsed", ""]


def test_without_a_task_there_are_only_seconds():
    _, cells = shown({"methods": {"kd": row(None)}, "metric": None, "task": "none"})
    assert cells == ["kd", "2", "", "", "", "", "2.0"]


@pytest.mark.parametrize("methods", [{}])
def test_nothing_finished(methods):
    assert len(shown({"methods": methods})) == 1
