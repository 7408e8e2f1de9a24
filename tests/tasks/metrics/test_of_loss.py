import math

import pytest
import torch

from kantor.tasks import NextToken
from kantor.tasks.metrics import MeanLoss


def test_an_undecided_model_has_the_perplexity_of_its_vocabulary():
    task = NextToken(token_bytes=[1, 2, 3, 4, 1, 1, 1, 1])
    tokens = torch.tensor([[5, 1, 3, 2], [0, 1, -100, -100]])
    values = task.values(task.measured(torch.zeros(2, 4, 8), tokens))
    assert values["perplexity"] == pytest.approx(8)
    # Four tokens are predicted, of 2, 4, 3 and 2 bytes, each at 3 bits.
    assert values["bits per byte"] == pytest.approx(4 * 3 / 11)


def test_a_loss_that_is_huge_overflows_nothing():
    task = NextToken()
    outputs = torch.zeros(1, 2, 2)
    outputs[0, 0, 1] = 1e5
    assert math.isfinite(task.values(task.measured(outputs, torch.tensor([[0, 0]])))["perplexity"])


def test_a_mean_over_what_counts():
    metric = MeanLoss(lambda outputs, targets: torch.stack([outputs.sum(), targets.sum()]).double())
    sums = metric.sums(torch.tensor([3.0]), torch.tensor([2])) + metric.sums(torch.tensor([5.0]), torch.tensor([2]))
    assert metric.value(sums) == 2
    assert math.isnan(metric.value(torch.zeros(2)))
