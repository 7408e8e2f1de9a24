"""The rows of the results table and of the time table."""

import pytest

from kantor.report import write
from kantor.report.run import read_run
from kantor.report.table import results, styles, times


def test_a_row_says_what_the_summary_says(made):
    table = results([read_run(made())])
    assert table.heading == "accuracy, %" and table.unit == ", points"
    assert [row.name for row in table.rows] == ["none", "kd", "kd+neuron_transport"]
    none, kd, _ = (row.cells for row in table.rows)
    assert (none["mean"], none["difference"], none["clear"]) == ("81.00", "", "")
    assert (kd["mean"], kd["difference"], kd["seeds"], kd["seconds"]) == ("85.00", "+4.00", "3", "2.0")
    assert kd["difference_interval"] == "+1.52 to +6.48" and kd["clear"] == "better"
    assert "seed 1: 85.00 %" in table.rows[1].figure


@pytest.mark.parametrize(
    ("kd", "clear"), [([0.70, 0.71, 0.72], "worse"), ([0.9, 0.7, 0.85], "unclear"), ([0.9, 0.91, 0.9], "better")]
)
def test_what_is_clear_is_what_the_interval_leaves_no_doubt_of(made, kd, clear):
    table = results([read_run(made({"none": [0.8, 0.81, 0.80], "kd": kd}))])
    assert table.rows[1].cells["clear"] == clear
    assert "-" not in table.rows[1].cells["difference"] + table.rows[1].cells["difference_interval"], "a true minus"


def test_several_runs_come_with_their_names_on_one_axis(made):
    runs = [read_run(made(name=name)) for name in ("few", "many")]
    table = results(runs)
    assert [row.name for row in table.rows][::3] == ["few: none", "many: none"]
    runs[1].summary["metric"] = {"name": "RMSE", "unit": "m", "higher_is_better": False}
    assert results(runs).rows == [], "runs of two metrics have no common axis"


def test_a_method_has_one_colour_all_over_the_page(made):
    run = read_run(made())
    assert styles(run)["none"] == 0
    assert len(set(styles(run).values())) == 3
    assert [row.style for row in results([run]).rows] == list(styles(run).values())


def test_time_and_memory(made):
    table = times(read_run(made(seconds={"none": 0.8, "kd": 1.6, "kd+neuron_transport": 800.0}, peak=3 * 2**20)))
    assert table is not None
    none, kd, slow = (row.cells for row in table.rows)
    assert (none["step"], none["ratio"], none["memory"]) == ("100", "", "3")
    assert (kd["step"], kd["ratio"], kd["seconds"]) == ("200", "2.00 ×", "1.6")
    assert slow["step"] == "100,000"
    bare = times(read_run(made(name="bare")))
    assert bare is not None and bare.rows[0].cells["memory"] == ""


def test_what_is_clear_is_marked_on_the_page(made):
    page = write(made({"none": [0.8, 0.81, 0.80], "kd": [0.9, 0.91, 0.9], "crd": [0.6, 0.61, 0.6]})).read_text()
    assert page.count('class="number better"') == page.count('class="number worse"') == 1
    assert "built-in method" not in page
