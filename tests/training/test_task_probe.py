"""Linear heads for other tasks, on features whose answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

import kantor
from kantor.core.errors import ConfigError
from kantor.tasks import DenseLabels, NextToken, Regression, SeveralLabels, TokenClassification
from kantor.training.linear_probe import Probed, probe
from kantor.training.task_probe import head_fitted

RNG = np.random.default_rng(0)


def opened(tmp_path, x, y, kind, **names):
    np.savez(tmp_path / "data.npz", x=x, y=y, **names)
    return kantor.open_data(tmp_path / "data.npz", kind=kind)


class Two(nn.Module):
    """A layer that holds the input, and one that holds nothing."""

    def __init__(self):
        super().__init__()
        self.seen, self.nothing = nn.Identity(), nn.Identity()

    def forward(self, x):
        return self.seen(x), self.nothing(0 * x)


def test_numbers_are_fitted_as_by_ridge_regression():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x = RNG.normal(3, [1, 10, 0.1], (100, 3))
    y = x @ RNG.normal(size=(3, 2)) + RNG.normal(size=(100, 2))
    head = head_fitted(torch.from_numpy(x), torch.from_numpy(y), 2, Regression(), 0.1)
    # A mean over samples and numbers in the place of a sum, and a halved penalty.
    theirs = linear_model.Ridge(alpha=0.1 / 2 * y.size).fit((x - x.mean(0)) / x.std(0), y)
    np.testing.assert_allclose(head.weights[:-1].numpy(), theirs.coef_.T, atol=1e-3)


def test_regression_is_judged_by_its_error_and_lower_is_better(tmp_path):
    x = RNG.normal(size=(300, 5)).astype(np.float32)
    data = opened(tmp_path, x, x[:, 0] - 2 * x[:, 1], "numbers")
    seen, nothing = probe(Two(), data, task=Regression(), layers=["seen", "nothing"])
    assert seen.reached < 0.01 and seen.penalty == 1e-5
    assert nothing.reached > 1 and nothing.penalty == 1.0


def test_several_labels_are_judged_by_f1(tmp_path):
    x = RNG.normal(size=(300, 5)).astype(np.float32)
    data = opened(tmp_path, x, (x[:, :3] > 0).astype(int), "several")
    seen, nothing = probe(Two(), data, task=SeveralLabels(), layers=["seen", "nothing"])
    assert seen.reached is not None and nothing.reached is not None
    assert seen.reached > 0.95 > nothing.reached


def test_every_token_has_a_head_and_what_has_no_label_does_not_count(tmp_path):
    x = RNG.normal(size=(80, 6, 4)).astype(np.float32)
    y = x[:, :, :3].argmax(2)
    y[:, 0] = -100
    np.savez(tmp_path / "data.npz", x=x.reshape(80, -1), y=y)
    data = kantor.open_data(tmp_path / "data.npz", kind="maps")

    class Tokens(Two):
        def forward(self, x):
            return super().forward(x.reshape(len(x), 6, 4))

    seen, nothing = probe(Tokens(), data, task=TokenClassification(), layers=["seen", "nothing"])
    assert seen.reached > 0.9 and seen.dim == 4 and nothing.reached < 0.6
    with pytest.raises(ConfigError, match="of the layers seen none has 6 tokens"):
        probe(Two(), data, task=TokenClassification(), layers=["seen"])


def test_a_map_of_labels_is_read_from_a_coarser_map(tmp_path):
    y = RNG.integers(0, 2, size=(60, 2, 2)).repeat(4, axis=1).repeat(4, axis=2)
    x = (200 * y + RNG.integers(0, 40, size=y.shape)).astype(np.uint8)
    data = opened(tmp_path, x, y, "maps")

    class Coarse(Two):
        def forward(self, x):
            return super().forward(nn.functional.avg_pool2d(x, 2))

    (found,) = probe(Coarse(), data, task=DenseLabels(), layers=["seen"])
    assert found.reached > 0.8


def test_labels_of_another_kind_are_refused_before_work(tmp_path):
    data = opened(tmp_path, RNG.normal(size=(60, 5)), RNG.normal(size=60), "numbers")
    with pytest.raises(ConfigError, match=r"by the task several_labels needs labels, a row of 0 and 1.*are a number"):
        probe(Two(), data, task=SeveralLabels())


def test_the_earlier_name_of_what_was_reached_still_answers():
    found = Probed("layer", 4, 0.1, 0.5, 0.75)
    with pytest.warns(DeprecationWarning, match="reached"):
        assert found.accuracy == found.reached == 0.75


def test_next_tokens_have_no_probe(tmp_path):
    ids = RNG.integers(0, 9, (60, 5))
    data = opened(tmp_path, ids, ids, "maps")
    with pytest.raises(ConfigError, match=r"next_token has no probe.*kantor evaluate.*kantor compare"):
        probe(Two(), data, task=NextToken(), layers=["seen"])
