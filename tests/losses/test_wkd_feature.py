"""WKD-F."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.wkd_feature import WKDFeature, wkd_feature
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("wkd_feature", {}),
        ("wkd_feature_cells", {"mean_weight": 3.0, "cells": 4}),
        ("wkd_feature_uneven", {"mean_weight": 2.0, "cells": 4}),
    ],
)
def test_as_wkd(name, settings, dtype, tolerance) -> None:
    assert_as_public(name, lambda: WKDFeature(**settings), dtype, tolerance)


def test_is_the_wasserstein_distance_of_gaussians() -> None:
    """One channel whose positions shift by 3 and spread by 2: W2^2 = 9 + sigma^2."""
    torch.manual_seed(0)
    teacher = torch.randn(4, 1, 6, 6, dtype=torch.float64)
    mean = teacher.mean((2, 3), keepdim=True)
    value = wkd_feature(mean + 3 + 2 * (teacher - mean), teacher, mean_weight=1.0)
    expected = 9 + teacher.var((2, 3)).mean()
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=0)


def test_positions_may_be_exchanged_within_a_cell_only() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(2, 3, 4, 4)
    flipped = teacher.flip(3)
    assert wkd_feature(flipped, teacher) < 1e-9
    assert wkd_feature(flipped, teacher, cells=2) > 0.1
    assert wkd_feature(teacher, teacher, cells=2) == 0


def test_other_resolution_and_tokens() -> None:
    loss = WKDFeature()
    loss.build((torch.Size((5, 6, 8, 8)),), (torch.Size((5, 12, 4, 4)),), 0)
    assert loss(torch.randn(5, 6, 8, 8), torch.randn(5, 12, 4, 4)).isfinite()
    loss.build((torch.Size((5, 16, 6)),), (torch.Size((5, 12, 12)),), 0)
    assert loss(torch.randn(5, 16, 6), torch.randn(5, 12, 12)).isfinite()


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="maps of one shape"):
        wkd_feature(torch.randn(2, 3, 4, 4), torch.randn(2, 4, 4, 4))
    with pytest.raises(ShapeError, match="cells lower"):
        WKDFeature(cells=4).build((torch.Size((2, 3, 4, 4)),), (torch.Size((2, 3, 8, 8)),), 0)
    with pytest.raises(ShapeError, match="positions"):
        WKDFeature().build((torch.Size((2, 3)),), (torch.Size((2, 3)),), 0)
    for wrong in ({"mean_weight": -1.0}, {"cells": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            WKDFeature(**wrong)  # type: ignore[arg-type]
