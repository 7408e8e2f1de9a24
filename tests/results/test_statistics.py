"""Intervals of numbers whose answer stands in tables of Student's t."""

import math

import numpy as np
import pytest

from kantor.results.statistics import TOO_FEW, few, paired_difference, t_interval


@pytest.mark.parametrize(
    ("values", "half"),
    # t(.975) of 2 and 4 degrees of freedom: 4.302653 and 2.776445; the deviations are 1 and sqrt(2.5).
    [([1.0, 2.0, 3.0], 4.302653 / math.sqrt(3)), ([1.0, 2.0, 3.0, 4.0, 5.0], 2.776445 * math.sqrt(2.5 / 5))],
)
def test_the_interval_of_a_mean(values, half):
    middle = sum(values) / len(values)
    assert t_interval(values) == pytest.approx((middle - half, middle + half), rel=1e-6)


def test_another_level():
    # t(.95) of 2 degrees of freedom: 2.919986.
    half = 2.919986 / math.sqrt(3)
    assert t_interval([1.0, 2.0, 3.0], level=0.9) == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_one_value_has_no_interval():
    assert t_interval([1.0]) is None and t_interval([]) is None


def test_it_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [t_interval(rng.normal(5, 2, 4).tolist()) for _ in range(2000)]
    held = sum(low < 5 < high for low, high in filter(None, found))
    assert held / len(found) == pytest.approx(0.95, abs=0.015)


def test_pairs_are_compared_seed_by_seed():
    # What a seed does to both cancels: the differences are 1, 2 and 3 whatever the seeds are like.
    mean, interval = paired_difference([11.0, 52.0, 93.0], [10.0, 50.0, 90.0])
    assert mean == pytest.approx(2) and interval == pytest.approx(t_interval([1.0, 2.0, 3.0]))
    assert paired_difference([3.0, 5.0], [1.0, 3.0])[1] == pytest.approx((2, 2))
    assert paired_difference([3.0], [1.0]) == (2.0, None)


def test_seeds_without_their_pair_are_no_pairs():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        paired_difference([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("seeds", "said"), [([2], TOO_FEW), ([5, 2, 3], TOO_FEW), ([1, 3], ""), ([], "")])
def test_two_seeds_are_said_to_be_too_few(seeds, said):
    assert few(seeds) == said
