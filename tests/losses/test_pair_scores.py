"""Scores of all pairs, a few rows at a time."""

import pytest
import torch

from kantor.losses import pair_scores as module
from kantor.losses.pair_scores import pair_scores


@pytest.mark.parametrize("cached", [1, 40, 1 << 18])
def test_is_the_formula_whatever_fits_the_cache(cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHED", cached)
    g = torch.Generator().manual_seed(0)
    inputs = [torch.randn(s, generator=g, dtype=torch.float64, requires_grad=True) for s in ((7, 3), (5, 3), (3,))]
    rows, columns, last = inputs
    expected = (rows.unsqueeze(1) + columns).relu() @ last
    scores = pair_scores(*inputs)
    torch.testing.assert_close(scores, expected)
    weight = torch.randn(7, 5, generator=g, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((weight * scores).sum(), inputs), torch.autograd.grad((weight * expected).sum(), inputs)
    )
    torch.autograd.gradcheck(pair_scores, inputs)
