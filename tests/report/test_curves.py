"""Curves are means over seeds with the band of all; shares are those of the weighted loss."""

import pytest

from kantor.report.curves import curve, terms
from kantor.report.run import read_run


def test_mean_and_band(made):
    run = read_run(made())
    found = curve("kd", run.of("kd"), "validation/accuracy")
    assert found is not None
    assert found.epochs == [0, 1, 2, 3, 4]
    assert found.mean[4] == pytest.approx(0.85 - 0.025)
    assert found.low[4] == pytest.approx(0.84 - 0.025)
    assert found.high[4] == pytest.approx(0.86 - 0.025)


def test_metric_that_nobody_recorded(made):
    run = read_run(made())
    assert curve("kd", run.of("kd"), "validation/f1") is None


def test_shares_are_of_the_weighted_loss(made):
    run = read_run(made(weights={"kd": 2.0, "neuron_transport": 3.0}))
    found = terms(run, "kd+neuron_transport")
    assert found is not None
    assert found.names == ["task", "kd", "neuron_transport"]
    # Epoch 2: task 1/2, the others 4/4 each, weighted 1, 2 and 3.
    total = 0.5 + 2.0 + 3.0
    assert [row[1] for row in found.shares] == pytest.approx([0.5 / total, 2 / total, 3 / total])
    assert [row[1] for row in found.values] == pytest.approx([0.5, 1.0, 1.0])
    assert found.gradient is None


def test_scheduled_weight(made):
    schedule = {"value": 2.0, "schedule": "linear", "end": 0.0, "warmup": 0.0}
    run = read_run(made({"none": [0.8], "kd": [0.9]}, weights={"kd": schedule}))
    found = terms(run, "kd")
    assert found is not None
    # The middle of epoch 4 of 4 is at 7/8 of training: a quarter is left of the weight.
    assert found.shares[1][3] == pytest.approx(0.25 * 0.25 / (0.25 * 0.25 + 0.25))


def test_student_alone_has_one_term(made):
    assert terms(read_run(made()), "none") is None


def test_gradient_shares_where_recorded(made):
    found = terms(read_run(made(gradient=True)), "kd")
    assert found is not None
    assert found.gradient == [[0.5] * 4, [0.5] * 4]
