import pytest
import torch

from kantor.analysis import compare_predictions


def test_counts():
    ours, theirs = torch.eye(3)[[0, 1, 2, 0]], torch.eye(3)[[0, 2, 2, 1]]
    targets = torch.tensor([0, 1, 2, 2])
    found = compare_predictions(ours, theirs, targets)
    assert (found.disagreement, found.accuracy, found.both_wrong) == (0.5, (0.75, 0.5), 0.25)


def test_without_targets():
    logits = torch.randn(9, 4)
    found = compare_predictions(logits, 2 * logits)
    assert (found.disagreement, found.accuracy, found.both_wrong) == (pytest.approx(0.0), None, None)
