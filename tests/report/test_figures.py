"""The figures of a run's page, and the numbers behind them."""

import pytest

from kantor.report.curves import Curve
from kantor.report.figures import figure_data, learning_curves, over_epochs, term_figures
from kantor.report.run import read_run


def test_a_line_for_each_method_with_its_numbers(made):
    run = read_run(made())
    figures = learning_curves(run, "r0")
    accuracy = figures[0]
    assert accuracy.title == "Accuracy on the validation part"
    assert accuracy.heading == ["method", "first", "halfway", "last", "lowest seed", "highest seed"]
    assert accuracy.rows[1] == ["kd", "25", "80", "82.5", "81.5", "83.5"]
    data = figure_data(figures)["r0-validation-accuracy"]
    assert data["names"] == ["none", "kd", "kd+neuron_transport"] and data["unit"] == " %"
    assert data["epochs"] == [0, 1, 2, 3, 4]
    assert data["values"][1] == [25.0, 75.0, 80.0, 81.67, 82.5]
    assert 'data-chart="r0-validation-accuracy"' in accuracy.picture
    assert "At the end: none 78.5 %; kd 82.5 %;" in accuracy.picture


def test_methods_that_are_not_equally_far_have_gaps_and_no_numbers_of_their_own():
    curves = [
        Curve("a", [0, 1, 2], [0.0, 1.0, 2.0], [0.0] * 3, [2.0] * 3),
        Curve("b", [0, 2], [3.0, 4.0], [3.0] * 2, [4.0] * 2),
    ]
    figure = over_epochs("Loss", curves, {"a": 0, "b": 1}, "c", percent=False)
    assert figure.data["c"]["values"] == [[0.0, 1.0, 2.0], [3.0, None, 4.0]]
    assert figure.data["c"]["unit"] == ""
    assert figure.rows == [["a", "0", "1", "2", "0", "2"], ["b", "3", "4", "4", "3", "4"]]


@pytest.mark.parametrize("gradient", [False, True])
def test_every_term_has_its_share(made, gradient):
    run = read_run(made(gradient=gradient))
    found = dict(term_figures(run, "r0"))
    assert list(found) == ["kd", "kd+neuron_transport"]
    figures = found["kd+neuron_transport"]
    titles = [figure.title for figure in figures]
    assert titles[0] == "Share of the weighted loss" and titles[-1] == "Value, first epoch = 100 %"
    assert ("Share of the gradient" in titles) is gradient
    names = [row[0] for row in figures[0].rows]
    assert names == ["task", "kd", "neuron_transport"]
    assert sum(float(row[1].removesuffix(" %")) for row in figures[0].rows) == pytest.approx(100, abs=0.2)
    assert figures[-1].rows[1] == ["kd", "4", "0.25"]


def test_the_student_alone_has_no_terms_to_show(made):
    assert term_figures(read_run(made({"none": [0.5, 0.6]})), "r0") == []
