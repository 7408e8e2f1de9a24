"""Figures: round ticks, everything inside the picture, words for those who do not see it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kantor.report import svg


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low, width):
    found = svg.ticks(low, low + width)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-6 * width <= t <= low + width * (1 + 1e-6) for t in found)


def test_ticks_are_round():
    assert svg.ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert svg.ticks(83.1, 96.2) == [85, 90, 95]
    assert svg.ticks(-0.4, 12.1) == [0, 2.5, 5, 7.5, 10]
    assert svg.ticks(3, 3) == [3]


def test_lines_stay_inside_and_speak():
    series = [svg.Series(1, [0, 1, 2], [0.1, 0.5, 0.4], [0.0, 0.4, 0.3], [0.2, 0.6, 0.5])]
    picture = str(svg.lines('accuracy <of> "all"', series, chart="c", percent=True))
    assert 'aria-label="accuracy &lt;of&gt; &#34;all&#34;"' in picture
    for path in re.findall(r' d="M([^"]*?)Z?"', picture):
        for point in path.split("L"):
            x, y = map(float, point.split())
            assert svg.LEFT <= x <= svg.WIDTH - svg.RIGHT
            assert svg.TOP <= y <= svg.HEIGHT - svg.BOTTOM


def test_shares_fill_the_picture():
    picture = str(svg.stacked("shares", [1, 2], [(0, [0.25, 0.5]), (1, [0.75, 0.5])], chart="c"))
    top = re.findall(r'class="area m1" d="M([\d.]+) ([\d.]+)L', picture)
    assert float(top[0][1]) == svg.TOP


def test_every_seed_is_a_dot():
    axis = svg.dots_scale([80.0, 84.0], [(78.0, 86.0)])
    picture = str(svg.dots("two seeds", [("seed 0: 80 %", 80.0), ("seed 1: 84 %", 84.0)], (78.0, 86.0), axis, 2, 81.0))
    assert picture.count("<circle") == 2
    assert "<title>seed 1: 84 %</title>" in picture
    assert 'class="reference"' in picture
    assert 'class="interval m2"' in picture


def test_wide_intervals_do_not_hide_the_seeds():
    axis = svg.dots_scale([80.0, 81.0], [(-300.0, 500.0)])
    assert axis(81.0) - axis(80.0) > 50


def test_equal_values_still_have_a_scale():
    axis = svg.dots_scale([80.0, 80.0], [None])
    assert axis.start < axis(80.0) < axis.end
