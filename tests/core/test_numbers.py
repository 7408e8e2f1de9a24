"""Numbers as people read them."""

import math

import pytest

from kantor.core.numbers import between, counting, duration, fixed, percent, roughly, size, true_minus


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.00"), (1234.5, "1234"), (-0.0123456, "-0.0123"), (99.95, "100.0"), (1e9, "1e+09"), (1e-7, "1e-07"),
     (math.nan, "nan"), (math.inf, "inf")],
)  # fmt: skip
def test_three_digits_count(value, text):
    assert counting(value, 3) == text


def test_what_is_not_known_is_no_number():
    assert fixed(None, 3) == percent(None) == "–"
    assert between(None, str) == ""


def test_places_and_signs():
    assert (fixed(0.12345, 3), fixed(0.5, 1, signed=True), fixed(-0.5, 2, signed=True)) == ("0.123", "+0.5", "-0.50")
    assert (percent(0.12345), percent(0.12345, 2), percent(1.0, 0)) == ("12.3", "12.35", "100")
    assert true_minus("-0.50 to +0.50") == "−0.50 to +0.50"
    assert between((-0.5, 0.25), lambda bound: fixed(bound, 2, signed=True)) == "-0.50 to +0.25"


@pytest.mark.parametrize(("share", "text"), [(0.0, "0 %"), (0.0004, "0.04 %"), (0.034, "3 %"), (1.0, "100 %")])
def test_a_small_share_is_not_nothing(share, text):
    assert roughly(share) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 MB"), (2080, "0.00208 MB"), (51.2e6, "51.2 MB"), (4e9, "4 GB"), (1.234e12, "1.23e+03 GB")],
)
def test_bytes(number, text):
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.4, "3 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_times(seconds, text):
    assert duration(seconds) == text
