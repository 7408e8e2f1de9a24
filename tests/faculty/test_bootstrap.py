"""Bootstrap intervals against what statistics knows, and their pairing."""

import numpy as np
import pytest
import torch

from kantor.faculty.bootstrap import interval, resampled
from kantor.faculty.scores import SCORES, Evidence, Score


def evidence(noise: float, seed: int = 0, samples: int = 400) -> Evidence:
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % 3
    logits = torch.nn.functional.one_hot(labels, 3) + noise * torch.randn(samples, 3, generator=g, dtype=torch.float64)
    return Evidence(labels, 3, logits.softmax(-1), logits, 1 - torch.eye(3, dtype=torch.float64))


def test_spread_of_a_mean_is_its_standard_error():
    e = evidence(1.0)
    values = SCORES["transport"].samples(e)
    draws = resampled(SCORES["transport"], e, 1000)
    assert draws.std() == pytest.approx((values.std() / 400**0.5).item(), rel=0.1)
    found = interval(values.mean().item(), draws)
    assert found is not None
    low, high = found
    assert low < values.mean().item() < high
    assert high - low == pytest.approx(2 * 1.96 * draws.std(ddof=1), rel=1e-3)


def test_two_teachers_see_the_same_draws():
    a, b = evidence(1.0), evidence(1.02)
    for name in ("transport", "leep", "transport_labels"):
        draws = [resampled(SCORES[name], e, 50) for e in (a, b)]
        if name != "transport_labels":  # one cost, so the two are equal
            assert np.corrcoef(draws)[0, 1] > 0.9
        np.testing.assert_array_equal(draws[0], resampled(SCORES[name], a, 50))


def test_no_interval_without_draws():
    assert interval(1.0, resampled(SCORES["leep"], evidence(1.0), 0)) is None


def test_many_draws_at_once_are_those_one_by_one():
    e, score = evidence(1.0, samples=30), SCORES["transport_labels"]
    one_by_one = Score(score.name, score.needs, score.source, score.of)
    # Costs of up to 1, transported to a marginal error of 1e-3.
    np.testing.assert_allclose(resampled(score, e, 20), resampled(one_by_one, e, 20), rtol=0, atol=5e-4)
