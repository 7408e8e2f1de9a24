"""Padding is left out: every loss that takes a mask, and the helpers it is made of."""

import pytest
import torch
from torch import Tensor

from kantor import losses
from kantor.core.errors import ShapeError
from kantor.losses.base import TransferLoss
from kantor.losses.masks import common_positions, first_kept, kept_mean, kept_on_both, zeroed

LENGTHS = torch.tensor([2, 5, 3, 5, 4, 1, 5, 2])
SETTINGS = {"neuron_transport": {"spatial": "positions", "plan_momentum": 0.0}, "multilevel_ot": {"top": 4}}
BETWEEN_VOCABULARIES = ("alm", "gold", "string_projection", "vocabulary_transport")
"""Told what two tokenizers have in common; see their own tests."""
MASKED = [name for name, loss in losses.LOSSES.items() if loss.takes_mask and name not in BETWEEN_VOCABULARIES]


def mask(tokens: int) -> Tensor:
    return torch.arange(tokens) < LENGTHS[:, None]


def draw(tokens: int, width: int, seed: int) -> Tensor:
    """The same tokens however many columns of padding follow; there is rubbish in those."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(8, 5, width, generator=generator)
    return torch.cat([x, 100 * torch.rand(8, tokens - 5, width)], 1).requires_grad_()


def built(name: str, width: int) -> TransferLoss:
    loss = losses.named(name, **SETTINGS.get(name, {}))
    assert isinstance(loss, TransferLoss)
    torch.manual_seed(0)
    loss.build((torch.Size([8, 5, 4]),), (torch.Size([8, 5, width]),), 0)
    return loss


def value(name: str, tokens: int) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient at the first five tokens."""
    width = 4 if name in ("kd", "delta") else 6
    student, teacher = draw(tokens, 4, 1), draw(tokens, width, 2).detach()
    loss, sides = built(name, width), (student, teacher)
    if loss.reads == "stages":
        sides = ((student,), (teacher,))
    result = loss(*sides, student_mask=mask(tokens), teacher_mask=mask(tokens))
    (gradient,) = torch.autograd.grad(result, student)
    assert not gradient[~mask(tokens)].any(), "padding has a gradient"
    return result, gradient[:, :5]


@pytest.mark.parametrize("name", MASKED)
def test_padding_more_changes_nothing(name):
    short, long = value(name, 5), value(name, 9)
    torch.testing.assert_close(long[0], short[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(long[1], short[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in MASKED if name not in ("uld", "multilevel_ot", "sp", "rkd", "pkt")])
def test_a_mask_that_keeps_all_is_none(name):
    width = 4 if name in ("kd", "delta") else 6
    student, teacher = draw(5, 4, 1)[:, :4], draw(5, width, 2).detach()[:, :4]  # four tokens are a grid too
    loss, every = built(name, width), torch.ones(8, 4, dtype=torch.bool)
    sides = ((student,), (teacher,)) if loss.reads == "stages" else (student, teacher)
    torch.testing.assert_close(loss(*sides, student_mask=every), loss(*sides), rtol=1e-5, atol=1e-7)


def test_a_sample_alone_has_the_value_of_its_own_tokens():
    """at and delta are means over samples and positions: of one sample, those of the sequence cut to its length."""
    student, teacher = draw(5, 4, 1)[:1], draw(5, 4, 2)[:1].detach()
    for loss in (losses.at, losses.nst):
        cut = loss(student[:, :2].mT.unsqueeze(2), teacher[:, :2].mT.unsqueeze(2))
        torch.testing.assert_close(loss(student, teacher, student_mask=mask(5)[:1]), cut)


def test_only_positions_that_both_sides_keep_count():
    a = torch.tensor([[True, True, False]])
    b = torch.tensor([[True, False, True]])
    x = torch.rand(1, 3, 2)
    assert kept_on_both("at", x, x, a, b).tolist() == [[True, False, False]]
    assert kept_on_both("at", x, x, None, b) is b and kept_on_both("at", x, x, None, None) is None


@pytest.mark.parametrize(
    ("student", "teacher"),
    [((2, 3, 4), (2, 5, 4)), ((2, 3), (2, 3, 4)), ((2, 4, 1, 5), (2, 3, 4)), ((3, 3, 4), (3, 3, 4))],
)
def test_positions_that_do_not_meet_are_refused_with_a_remedy(student, teacher):
    with pytest.raises(ShapeError, match=r"at compares position by position.*Give both the same tokens"):
        common_positions("at", torch.rand(student), torch.rand(teacher), torch.ones(2, 3, dtype=torch.bool), None)


def test_helpers():
    x = torch.tensor([[[1.0], [2.0], [torch.nan]], [[4.0], [torch.inf], [6.0]]])
    kept = torch.tensor([[True, True, False], [True, False, True]])
    assert zeroed(x, kept).squeeze(2).tolist() == [[1, 2, 0], [4, 0, 6]]
    assert zeroed(x.mT.reshape(2, 1, 1, 3), kept).flatten(1).tolist() == [[1, 2, 0], [4, 0, 6]]
    assert kept_mean(x.squeeze(2), kept).item() == 13 / 4
    front, lengths = first_kept(x, kept)
    assert front[1, :2].flatten().tolist() == [4, 6] and lengths.tolist() == [2, 2]
    front, lengths = first_kept(x, None)
    assert front is x and lengths is None
