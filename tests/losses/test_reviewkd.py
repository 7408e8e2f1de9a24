"""ReviewKD."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.reviewkd import ReviewKD, hierarchical_context, reviewkd
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_mdistiller(dtype, tolerance):
    assert_as_public("reviewkd", lambda: ReviewKD(with_pooled=False), dtype, tolerance)


def test_pooled_level_is_the_deepest_stage_averaged():
    g = torch.Generator().manual_seed(0)
    student, teacher = ([torch.randn(4, c, n, n, generator=g) for c, n in ((3, 6), (5, 3))] for _ in range(2))
    with_level, given = ReviewKD(), ReviewKD(with_pooled=False)
    more = [[*side, side[-1].mean((2, 3))] for side in (student, teacher)]
    with_level.build(*(tuple(x.shape for x in side) for side in (student, teacher)), samples=0)
    given.build(*(tuple(x.shape for x in side) for side in more), samples=0)
    given.load_state_dict(with_level.state_dict())
    torch.testing.assert_close(with_level(tuple(student), tuple(teacher)), given(*map(tuple, more)))


def test_levels_of_a_map_are_averages_of_averages():
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert hierarchical_context(x, x) == 0
    # A constant difference is the same on every grid.
    torch.testing.assert_close(hierarchical_context(x + 2, x), torch.tensor(4.0, dtype=torch.float64))
    # A difference whose mean over every quarter is zero counts on the map alone: 1 / (1 + 1/2 + 1/4 + 1/8).
    stripes = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(4).expand(2, 3, 8, 8)
    torch.testing.assert_close(hierarchical_context(x + stripes, x), torch.tensor(1 / 1.875, dtype=torch.float64))


def test_a_sequence_is_averaged_along_its_length():
    x = torch.randn(2, 3, 1, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(hierarchical_context(x + 2, x), torch.tensor(4.0, dtype=torch.float64))
    stripes = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(8).expand(2, 3, 1, 16)
    torch.testing.assert_close(hierarchical_context(x + stripes, x), torch.tensor(1 / 1.875, dtype=torch.float64))
    loss = ReviewKD()
    loss.build((torch.Size([2, 16, 4]), torch.Size([2, 16, 4])), (torch.Size([2, 16, 6]),) * 2, 0)
    assert loss((torch.rand(2, 16, 4),) * 2, (torch.rand(2, 16, 6),) * 2).isfinite()


def test_refusals():
    with pytest.raises(ShapeError, match="as many layers"):
        ReviewKD().build((torch.Size([4, 3, 6, 6]),), (torch.Size([4, 3, 6, 6]),) * 2, 0)
    with pytest.raises(ShapeError, match=r"\(4, 3, 2, 6, 6\).*\(4, 3, 6, 6\)"):
        ReviewKD().build((torch.Size([4, 3, 2, 6, 6]),), (torch.Size([4, 3, 6, 6]),), 0)
    with pytest.raises(ConfigError, match="max_width"):
        ReviewKD(max_width=0)


def test_patches_lie_on_their_grid_and_tokens_without_one_meet_no_map():
    tokens, teacher = torch.rand(4, 1 + 8, 3), torch.rand(4, 5, 4, 8)
    loss = ReviewKD(with_pooled=False)
    loss.build((tokens.shape,), (teacher.shape,), 0)
    patches = tokens[:, 1:].mT.reshape(4, 3, 2, 4)
    assert loss((tokens,), (teacher,), student_grid=((2, 4),)) == loss((patches,), (teacher,))
    with pytest.raises(ShapeError, match=r"\(4, 9, 3\).*\(4, 5, 4, 8\).*a sequence and a map"):
        loss((tokens,), (teacher,))


def test_one_map_is_one_level():
    s, t = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    assert reviewkd(s, t) == reviewkd((s,), (t,))  # type: ignore[arg-type]


def test_a_pair_without_its_fellow_is_refused():
    s = torch.rand(2, 3, 4, 4)
    with pytest.raises(ShapeError, match="given are 2 and 1"):
        reviewkd((s, s), (s,))
