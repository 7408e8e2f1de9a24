"""WCoRD: the sum of its two forms on one pair of embeddings."""

import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.losses.lckt import lckt
from kantor.losses.wcord import WCoRD


def built(**settings) -> WCoRD:
    loss = WCoRD(**settings)
    torch.manual_seed(0)
    loss.build((torch.Size((5, 6)),), (torch.Size((5, 10)),), 40)
    return loss


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.randn(5, 6, requires_grad=True), torch.randn(5, 10), torch.tensor([3, 0, 6, 2, 7])


def test_is_the_sum_of_both_forms() -> None:
    loss = built()
    student, teacher, ids = batch()
    s, t = loss.dual.embed(student, teacher)
    expected = 0.8 * loss.dual(student, teacher, ids=ids) + 0.05 * lckt(s, t)
    torch.testing.assert_close(loss(student, teacher, ids=ids), expected)


def test_the_primal_form_moves_no_teacher_embedding() -> None:
    student, teacher, ids = batch()
    gradients = []
    for weight in (0.05, 5.0):
        loss = built(lckt_weight=weight)
        loss(student, teacher, ids=ids).backward()
        gradients.append(
            [loss.dual.teacher_embedding.linear.weight.grad, loss.dual.student_embedding.linear.weight.grad]
        )
    torch.testing.assert_close(gradients[0][0], gradients[1][0])
    assert not torch.allclose(gradients[0][1], gradients[1][1])


def test_refuses() -> None:
    for wrong in ({"gckt_weight": 0.0}, {"lckt_weight": -1.0}):
        with pytest.raises(ConfigError, match="both weights"):
            WCoRD(**wrong)
    for wrong in ({"beta": 0.0}, {"steps": 0}):
        with pytest.raises(ConfigError, match="beta and steps"):
            WCoRD(**wrong)
    with pytest.raises(ConfigError, match="no ids"):
        built()(*batch()[:2])
