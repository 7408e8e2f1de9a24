import pytest
import torch

from kantor.tasks.metrics import F1

OUTPUTS = torch.tensor([[1.0, -1.0, 2.0, -1.0], [1.0, 1.0, -1.0, -1.0], [-1.0, 1.0, -1.0, -1.0]])
TARGETS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0]])


def value(metric, outputs, targets):
    return metric.value(metric.sums(outputs, targets))


def test_micro_counts_all_labels_together_and_macro_each_label_as_much():
    # By label: TP 2, 1, 0, 0; FP 0, 1, 1, 0; FN 1, 0, 1, 0. The last label is left out of the mean.
    assert value(F1(), OUTPUTS, TARGETS) == pytest.approx(2 * 3 / (2 * 3 + 2 + 2))
    assert value(F1("macro"), OUTPUTS, TARGETS) == pytest.approx((4 / 5 + 2 / 3 + 0) / 3)


def test_it_agrees_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    outputs, targets = torch.randn(50, 6), torch.rand(50, 6) > 0.6
    for average in ("micro", "macro"):
        want = metrics.f1_score(targets.numpy(), (outputs > 0).numpy(), average=average)
        assert value(F1(average), outputs, targets.long()) == pytest.approx(want)


def test_batches_add_up():
    metric = F1("macro")
    parts = metric.sums(OUTPUTS[:2], TARGETS[:2]) + metric.sums(OUTPUTS[2:], TARGETS[2:])
    assert metric.value(parts) == value(metric, OUTPUTS, TARGETS)
