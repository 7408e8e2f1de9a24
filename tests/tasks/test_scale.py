import math

from kantor.tasks.scale import ACCURACY, Scale

RMSE = Scale("RMSE", "m", higher_is_better=False)


def test_shares_are_shown_in_per_cent_and_differ_by_points():
    assert ACCURACY.text(0.88606) == "88.61 %"
    assert ACCURACY.text(0.88606, 1) == "88.6 %"
    assert ACCURACY.said(0.931) == "93.1 % right"
    assert ACCURACY.said_difference(-0.0123) == "-1.2 points"
    assert ACCURACY.interval((0.5, 0.7501)) == "50.00 to 75.01"
    assert Scale("mIoU", "%").said(0.5) == "mIoU 50.0 %"


def test_numbers_are_shown_in_their_unit_by_digits_that_count():
    assert RMSE.text(0.41234) == "0.412 m"
    assert RMSE.said(0.41234) == "RMSE 0.41 m"
    assert RMSE.said_difference(-0.05) == "0.050 m lower"
    assert RMSE.said_difference(12.3) == "12 m higher"
    assert RMSE.interval((-0.07, 0.03), signed=True) == "-0.0700 to +0.0300"
    assert RMSE.interval((-0.15, 0.0205), signed=True) == "-0.150 to +0.021"  # both to as many places
    assert RMSE.interval(None) == ""
    assert (RMSE.heading, RMSE.title, Scale("loss").title) == ("RMSE, m", "RMSE", "Loss")


def test_better_is_lower_where_lower_is_better():
    assert ACCURACY.better(0.6, 0.5)
    assert not ACCURACY.better(0.5, 0.5)
    assert RMSE.better(0.4, 0.5)
    assert not RMSE.better(0.6, 0.5)
    assert RMSE.better(9.0, None)
    assert not RMSE.better(math.nan, None)
    assert RMSE.gain(-0.1) == 0.1


def test_what_a_run_keeps_is_read_back():
    assert Scale.parse(RMSE.record()) == RMSE
    assert Scale.parse(None) == ACCURACY  # a run from before there were tasks
