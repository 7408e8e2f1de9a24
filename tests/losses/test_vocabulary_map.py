"""Maps between vocabularies."""

import pytest
import torch

from kantor.core.errors import NonFiniteError, ShapeError
from kantor.losses.vocabulary_map import VocabularyMap


def some_map(n: int = 9, m: int = 5) -> tuple[VocabularyMap, torch.Tensor]:
    torch.manual_seed(0)
    dense = torch.rand(n, m, dtype=torch.float64) * (torch.rand(n, m) < 0.5)
    dense = dense / dense.sum(1, keepdim=True).clamp_min(1)
    rows, columns = dense.nonzero().T
    return VocabularyMap(rows, columns, dense[rows, columns], (n, m)), dense


def test_carries_as_the_matrix_does() -> None:
    found, dense = some_map()
    p = torch.rand(4, 9, dtype=torch.float64).softmax(-1)
    torch.testing.assert_close(found.carried(p), p @ dense)
    torch.testing.assert_close(found.given, dense.sum(1))
    values, tokens = p.topk(3, dim=1)
    few = torch.zeros_like(p).scatter(1, tokens, values)
    torch.testing.assert_close(found.carried(p, top=3), few @ dense)
    torch.testing.assert_close(found.carried(p.float()), (p @ dense).float())
    assert found.carried(p, top=100).shape == (4, 5)


def test_refuses() -> None:
    one = torch.ones(1)
    with pytest.raises(ShapeError, match="vocabularies of 2 and 3"):
        VocabularyMap(torch.tensor([2]), torch.tensor([0]), one, (2, 3))
    with pytest.raises(ShapeError, match="in the teacher's order"):
        VocabularyMap(torch.tensor([1, 0]), torch.tensor([0, 0]), torch.ones(2), (2, 3))
    with pytest.raises(NonFiniteError, match="at most 1"):
        VocabularyMap(torch.tensor([0, 0]), torch.tensor([0, 1]), torch.ones(2), (2, 3))
