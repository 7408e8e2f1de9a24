"""The order in which a plan is drawn shows its structure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kantor.ot.ordering import follow, structured


@pytest.mark.parametrize("shape", [(24, 8), (8, 24), (12, 12)])
def test_hidden_blocks_come_back(shape):
    draw = np.random.default_rng(0)
    rows, columns = shape
    # Four groups: units of one group look alike, and the mass stays within the group.
    group = (np.arange(rows) * 4 // rows)[:, None] == (np.arange(columns) * 4 // columns)[None]
    shuffled = draw.permutation(rows), draw.permutation(columns)
    cost = (1.0 - group + 0.05 * draw.random(shape))[shuffled[0]][:, shuffled[1]]
    plan = (group / group.sum())[shuffled[0]][:, shuffled[1]]
    order = structured(plan, cost)
    drawn = plan[order[0]][:, order[1]] > 0
    # Every row's mass is in one stretch, and the stretches go down or up one after the other.
    starts = drawn.argmax(axis=1)
    assert all(line[start : start + line.sum()].all() for line, start in zip(drawn, starts, strict=True))
    assert (np.diff(starts) >= 0).all() or (np.diff(starts) <= 0).all()
    assert len(set(starts)) == 4


def test_rows_follow_their_mass():
    plan = np.array([[0.0, 0.1, 0.3], [0.3, 0.0, 0.0], [0.0, 0.0, 0.0], [0.1, 0.2, 0.0]])
    assert follow(plan).tolist() == [1, 3, 0, 2]


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1)))
def test_always_permutations(plan):
    rows, columns = structured(plan)
    assert sorted(rows) == list(range(plan.shape[0]))
    assert sorted(columns) == list(range(plan.shape[1]))
