import pytest
import torch
import torch.nn.functional as F

from kantor.tasks.metrics import MeanIoU


def says(classes):
    """Outputs whose largest is at these classes."""
    return F.one_hot(torch.tensor(classes), 4).movedim(-1, 1).float()


def test_by_hand():
    metric = MeanIoU()
    outputs, targets = says([[[0, 0], [1, 1]]]), torch.tensor([[[0, 1], [1, 255]]])
    # Class 0: 1 of 2; class 1: 1 of 2; the others are neither there nor said, and the last position is no class.
    assert metric.value(metric.sums(outputs, targets)) == 0.5


def test_of_the_whole_data_set_and_no_mean_over_images():
    metric = MeanIoU()
    first = (says([[[0, 0], [0, 0]]]), torch.tensor([[[0, 0], [0, 0]]]))
    second = (says([[[0, 1], [1, 1]]]), torch.tensor([[[0, 0], [0, 0]]]))
    total = metric.sums(*first) + metric.sums(*second)
    assert metric.value(total) == pytest.approx((5 / 8 + 0) / 2)
