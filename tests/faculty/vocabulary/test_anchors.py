"""Embeddings of two models in one space."""

import numpy as np
import pytest
import torch

from kantor.core.errors import DataError
from kantor.faculty.vocabulary.anchors import nearest


def test_finds_the_same_token_in_a_rotated_space() -> None:
    torch.manual_seed(0)
    student = torch.randn(40, 8)
    rotation = torch.linalg.qr(torch.randn(8, 8))[0]
    order = torch.randperm(40)
    teacher = torch.cat([student[order] @ rotation, torch.zeros(40, 3)], dim=1)
    known = np.arange(20)
    rows, columns, cost = nearest(teacher, student, (known, order.numpy()[:20]), 3)
    first = np.arange(40) * 3
    np.testing.assert_array_equal(columns[first], order.numpy())
    assert cost[first].max() < 1e-6 and cost[first + 1].min() > 0.01
    assert rows.tolist() == sorted(rows.tolist()) and len(rows) == 120


def test_too_few_anchors_are_refused() -> None:
    with pytest.raises(DataError, match="share 2 tokens"):
        nearest(torch.randn(4, 2), torch.randn(4, 2), (np.arange(2), np.arange(2)), 1)
