"""Agreement of scores with what was reached."""

import numpy as np
import pytest

from kantor.core.errors import ShapeError
from kantor.faculty.agreement import agreement


def test_perfect_reversed_and_random():
    r = np.random.default_rng(0)
    reached = r.random((3, 8))
    perfect = agreement(3 * reached - 1, reached, resamples=200)
    assert perfect.tau == pytest.approx(1)
    assert perfect.pearson == pytest.approx(1)
    assert perfect.tau_interval[0] > 0.99
    assert agreement(-reached, reached, resamples=50).tau == pytest.approx(-1)
    chance = agreement(r.random((3, 8)), reached, resamples=200)
    assert chance.tau_interval[0] < 0 < chance.tau_interval[1]


def test_a_missing_score_is_left_out():
    reached = np.random.default_rng(0).random((2, 6))
    scores = reached.copy()
    scores[0, 2] = np.nan
    assert agreement(scores, reached, resamples=50).tau == pytest.approx(1)
    scores[0, :4] = np.nan
    with pytest.raises(ShapeError, match="three teachers"):
        agreement(scores, reached)
    with pytest.raises(ShapeError, match="must both be"):
        agreement(scores[:1], reached)
