"""How what is measured of two layers is called and written."""

from kantor.analysis.measures import HEADINGS, SHARES, decimals, written
from kantor.analysis.records import MEASURES


def test_shares_are_in_per_cent_and_their_columns_say_so():
    assert written("gap", 0.1234) == "12.3"
    assert written("distance", 0.1234) == "0.123"
    assert written("distance", 0.00012, 5) == "0.00012"
    assert written("diagonal", None) == "–"
    assert all(HEADINGS[name].endswith(", %") == (name in SHARES) for name in HEADINGS)
    assert set(SHARES) < {*MEASURES}


def test_students_that_stay_near_their_teacher_are_told_apart():
    assert decimals([0.002, 0.0999]) == 5
    assert decimals([0.002, 0.1]) == 3
