import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kantor.data import split

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@given(sizes, st.floats(0.01, 0.9), st.randoms())
def test_a_cut_is_stratified_and_does_not_depend_on_the_order_of_samples(sizes, fraction, random):
    targets = np.repeat(np.arange(len(sizes)), sizes)
    ids = np.arange(len(targets)) * 3
    count = split.share(fraction, len(targets))
    chosen = split.choose(targets, ids, count, split.VALIDATION, leave_one=True)
    taken = np.bincount(targets[chosen], minlength=len(sizes))
    for size, got in zip(sizes, taken, strict=True):
        assert (1 if size >= 2 else 0) <= got <= max(0, size - 1)
    order = np.array(random.sample(range(len(ids)), len(ids)))
    again = split.choose(targets[order], ids[order], count, split.VALIDATION, leave_one=True)
    assert set(ids[order][again]) == set(ids[chosen])


@given(sizes, st.integers(0, 300))
def test_a_limit_is_exact_where_it_can_be(sizes, extra):
    targets = np.repeat(np.arange(len(sizes)), sizes)
    limit = min(len(sizes) + extra, len(targets))
    chosen = split.choose(targets, np.arange(len(targets)), limit, split.LIMIT)
    assert len(chosen) == limit
    assert len(np.unique(targets[chosen])) == len(sizes)
    assert (np.diff(chosen) > 0).all()


def test_proportions_are_kept():
    targets = np.repeat([0, 1], [900, 100])
    chosen = split.choose(targets, np.arange(1000), 100, split.LIMIT)
    assert np.bincount(targets[chosen]).tolist() == [90, 10]


def test_a_larger_limit_keeps_what_a_smaller_one_kept():
    targets = np.repeat([0, 1], 50)
    few, more = (set(split.choose(targets, np.arange(100), n, split.LIMIT)) for n in (20, 60))
    assert few < more


def test_cuts_for_different_purposes_are_independent():
    targets = np.zeros(1000, dtype=np.int64)
    limit, validation = (set(split.choose(targets, np.arange(1000), 500, p)) for p in (split.LIMIT, split.VALIDATION))
    assert 200 < len(limit & validation) < 300


@pytest.mark.parametrize(("fraction", "samples", "count"), [(0.1, 30, 3), (0.2, 1797, 360), (0.1, 31, 4), (0.0, 9, 0)])
def test_share_rounds_up_but_not_by_rounding_error(fraction, samples, count):
    assert split.share(fraction, samples) == count
