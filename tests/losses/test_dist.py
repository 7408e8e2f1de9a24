"""DIST."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.dist import DIST, dist
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
def test_as_the_authors(dtype, tolerance):
    assert_as_public("dist", DIST, dtype, tolerance)


@both_precisions
def test_temperature_as_the_authors(dtype, tolerance):
    assert_as_public("dist_temperature4", lambda: DIST(temperature=4.0), dtype, tolerance)


def test_rows_see_neither_scale_nor_shift_of_probabilities():
    p = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(1)
    flatter = torch.stack([w * row + (1 - w) / 4 for w, row in zip([0.1, 0.3, 0.5, 0.7, 0.9], p, strict=True)])
    assert dist(flatter.log(), p.log(), intra_weight=0.0) < 1e-6
    assert dist(flatter.log(), p.log(), inter_weight=0.0) > 1e-2
    assert dist(p.log(), p.log()) < 1e-6


def test_refusals():
    with pytest.raises(ShapeError, match=r"\(8, 5\).*\(8, 4\)"):
        DIST().build((torch.Size([8, 5]),), (torch.Size([8, 4]),), 0)
    with pytest.raises(ConfigError, match="temperature"):
        DIST(temperature=-1.0)
