import math

import pytest
import torch

from kantor.tasks.metrics import R2, RMSE


def value(metric, outputs, targets):
    return metric.value(metric.sums(outputs, targets))


def test_root_of_the_mean_square():
    assert value(RMSE(), torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1.0, 0.0, 3.0])) == pytest.approx(
        math.sqrt(8 / 3)
    )
    assert not RMSE().scale.higher_is_better
    assert RMSE("m").scale.unit == "m"


def test_the_root_is_taken_of_all_samples_and_not_of_each_batch():
    outputs, targets = torch.tensor([0.0, 0.0, 3.0]), torch.zeros(3)
    metric = RMSE()
    parts = metric.sums(outputs[:2], targets[:2]) + metric.sums(outputs[2:], targets[2:])
    assert metric.value(parts) == pytest.approx(math.sqrt(3))


def test_explained_variance():
    targets = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert value(R2(), targets, targets) == 1
    assert value(R2(), torch.full((4,), 2.5), targets) == 0
    assert value(R2(), 5 - targets, targets) == pytest.approx(-3)
    assert math.isnan(value(R2(), targets, torch.ones(4)))


def test_of_several_numbers_and_in_batches_as_scikit_learn_has_it():
    metrics = pytest.importorskip("sklearn.metrics")
    targets = torch.randn(30, 3, dtype=torch.double) * torch.tensor([1.0, 10.0, 100.0]) + 1000
    outputs = targets + torch.randn(30, 3, dtype=torch.double)
    metric = R2()
    parts = metric.sums(outputs[:17], targets[:17]) + metric.sums(outputs[17:], targets[17:])
    assert metric.value(parts) == pytest.approx(metrics.r2_score(targets, outputs), abs=1e-7)
