"""The learning rate over a training, at points whose value can be said without the code."""

import pytest

from kantor.training.schedule import learning_rate


def test_a_warm_up_rises_evenly_from_a_25th_of_the_peak():
    rates = [learning_rate(2.5, "constant", at, 0.2) for at in (0.0, 0.05, 0.1, 0.15, 0.2)]
    assert rates == pytest.approx([0.1, 0.7, 1.3, 1.9, 2.5])


def test_without_a_warm_up_the_first_step_has_the_peak():
    for schedule in ("cosine", "step", "constant"):
        assert learning_rate(0.3, schedule, 0.0, 0.0) == pytest.approx(0.3)


def test_a_cosine_is_half_way_down_half_way_through_and_ends_at_nothing():
    assert learning_rate(1.0, "cosine", 0.5, 0.0) == pytest.approx(0.5)
    assert learning_rate(1.0, "cosine", 0.6, 0.2) == pytest.approx(0.5)  # of what is left after the warm-up
    assert learning_rate(1.0, "cosine", 1 / 3, 0.0) == pytest.approx(0.75)  # cos 60 degrees
    assert learning_rate(1.0, "cosine", 1.0, 0.2) == pytest.approx(0.0, abs=1e-12)


def test_one_cycle_warms_up_for_thirty_percent_or_more():
    assert learning_rate(1.0, "onecycle", 0.15, 0.0) == pytest.approx(0.52)  # half way from .04 to 1
    assert learning_rate(1.0, "onecycle", 0.3, 0.0) == pytest.approx(1.0)
    assert learning_rate(1.0, "onecycle", 0.65, 0.0) == pytest.approx(0.5)
    assert learning_rate(1.0, "onecycle", 0.25, 0.5) == pytest.approx(0.52)


def test_steps_fall_tenfold_at_epochs_150_180_and_210_of_240():
    rates = {epoch: learning_rate(0.05, "step", epoch / 240, 0.0) for epoch in (0, 149, 150, 179, 180, 209, 210, 239)}
    assert list(rates.values()) == pytest.approx([0.05, 0.05, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])


def test_a_constant_rate_stays():
    assert {learning_rate(0.2, "constant", at / 10, 0.0) for at in range(11)} == {0.2}
