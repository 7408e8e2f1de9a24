import math

import pytest
import torch

from kantor.tasks.metrics import Accuracy
from kantor.tasks.metrics.accuracy import confusion_of

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.5]])


def accuracy(logits, targets, axis=None):
    metric = Accuracy(axis)
    return metric.value(metric.sums(logits, targets))


def test_of_every_kind_of_target():
    assert accuracy(LOGITS, torch.tensor([0, 1, 2])) == pytest.approx(2 / 3)
    assert accuracy(LOGITS, torch.tensor([0, -100, 2])) == 0.5
    assert accuracy(LOGITS, torch.tensor([[0.8, 0.2, 0], [0, 0.4, 0.6], [1, 0, 0]])) == pytest.approx(2 / 3)
    assert math.isnan(accuracy(LOGITS, torch.tensor([[1, 1, 0], [0, 0, 0], [1, 0, 0]])))
    assert math.isnan(accuracy(LOGITS, torch.rand(3)))
    assert math.isnan(accuracy(LOGITS, torch.full((3,), -100)))


def test_classes_come_second_in_maps_and_last_in_sequences():
    maps = torch.randn(2, 3, 4, 5)
    assert accuracy(maps, maps.argmax(1)) == 1
    assert accuracy(maps.permute(0, 2, 3, 1), maps.argmax(1)) == 1
    # Where both would fit, the task says which.
    both = torch.zeros(2, 3, 3)
    both[0, 1, 0] = both[0, 1, 2] = 1.0
    targets = both.argmax(1)
    assert accuracy(both, targets, 1) == 1
    assert accuracy(both, targets, -1) < 1


def test_batches_of_other_sizes_add_up_to_the_whole():
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(23, 4, generator=generator), torch.randint(0, 4, (23,), generator=generator)
    metric = Accuracy()
    parts = metric.sums(logits[:20], targets[:20]) + metric.sums(logits[20:], targets[20:])
    assert metric.value(parts) == accuracy(logits, targets) == (logits.argmax(1) == targets).sum().item() / 23


def test_confusion_leaves_out_what_is_no_class():
    predicted, targets = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 255, -100])
    assert confusion_of(predicted, targets, 3).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
