"""AB; its pretraining is in test_pretraining.py."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.ab import AB, ab
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_repdistiller(dtype, tolerance):
    assert_as_public("ab", AB, dtype, tolerance)


def test_sees_only_on_which_side_the_teacher_is():
    g = torch.Generator().manual_seed(0)
    s, t = torch.randn(2, 3, 4, 5, 5, generator=g)
    assert torch.equal(ab(s, t), ab(s, 100 * t))
    assert torch.equal(ab(s, t), ab(s, t.relu()))
    assert ab(t.sign() * 1.5, t) == 0
    assert ab(-t.sign(), t) == pytest.approx(3e-3 * 4 * 4 * 25)


def test_a_teachers_nan_is_not_taken_for_silence():
    assert ab(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), torch.nan)).isnan()


def test_refusals():
    with pytest.raises(ShapeError, match=r"\(8, 4, 3, 3\).*\(8, 4, 5, 5\)"):
        AB().build((torch.Size([8, 4, 3, 3]),), (torch.Size([8, 4, 5, 5]),), 0)
    with pytest.raises(ConfigError, match="margin"):
        AB(margin=0.0)
