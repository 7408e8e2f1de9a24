"""Logits of which the likeliest are known: what is kept, and that losses say the same of them as of whole ones."""

import pytest
import torch

from kantor.capture.spans import between
from kantor.core.errors import ConfigError
from kantor.losses import ALM, GOLD, KD, ULD, StringProjection, VocabularyMap, VocabularyTransport
from kantor.losses.said import log_likelihoods
from kantor.losses.top_logits import cut, falling, probabilities_of, restored, rows_of

TOP, WIDTH = 6, 40


def made(*, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, the tokens that came, and the logits as they are kept."""
    torch.manual_seed(seed)
    logits, came = 3 * torch.randn(2, 5, WIDTH), torch.randint(0, WIDTH, (2, 5))
    return logits, came, restored(*cut(logits, came, TOP), WIDTH)


def test_what_is_kept_is_exact_and_the_rest_is_even():
    logits, came, known = made()
    whole, p = known.to_dense().softmax(-1), logits.softmax(-1)
    said, tokens = cut(logits, came, TOP)
    torch.testing.assert_close(whole.gather(-1, tokens), p.gather(-1, tokens))
    torch.testing.assert_close(said[..., :-1].exp(), p.gather(-1, tokens))
    assert (tokens[:, :-1] == came[:, 1:, None]).any(-1).all()  # the token that came
    likeliest = logits.topk(TOP - 1).indices
    pairs = zip(likeliest.flatten(0, 1).tolist(), tokens.flatten(0, 1).tolist(), strict=True)
    assert all(set(most) <= set(kept) for most, kept in pairs)
    others = torch.ones_like(p).scatter(-1, tokens, 0.0).bool()
    rest = whole[others].view(2, 5, -1)
    torch.testing.assert_close(rest, rest[..., :1].expand_as(rest))
    torch.testing.assert_close(rest.sum(-1), p.masked_fill(~others, 0).sum(-1))


def test_a_teacher_that_is_certain_stays_finite():
    logits = torch.zeros(1, 2, WIDTH)
    logits[..., 3] = 1e4
    said, tokens = cut(logits, None, TOP)
    known = restored(said.half(), tokens, WIDTH)
    assert known.to_dense().isfinite().all() and known.to_dense().softmax(-1)[0, 0, 3] > 0.999


def test_more_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="top_logits 40: the teacher has 40 tokens"):
        cut(torch.zeros(1, 2, WIDTH), None, WIDTH)


def test_what_losses_read_of_them():
    _, came, known = made()
    whole = known.to_dense()
    p = (whole / 2).softmax(-1)
    kept, other, tokens = probabilities_of(known, 2.0)
    torch.testing.assert_close(kept, p.gather(-1, tokens))
    torch.testing.assert_close(kept.sum(-1) + (WIDTH - TOP) * other[..., 0], torch.ones(2, 5))
    torch.testing.assert_close(log_likelihoods(known, came, 2.0), log_likelihoods(whole, came, 2.0))
    some = torch.tensor([7, 2, 2])
    torch.testing.assert_close(rows_of(known, some).to_dense(), rows_of(whole, some))


@pytest.mark.parametrize("first", [3, TOP, 20, WIDTH, 50])
def test_falling_order_without_a_sort(first):
    _, _, known = made()
    rows = rows_of(known, torch.arange(10))
    for found, expected in zip(falling(rows, 1.0, first), falling(rows.to_dense(), 1.0, first), strict=True):
        torch.testing.assert_close(found, expected)


def between_two() -> tuple[torch.Tensor, torch.Tensor, VocabularyMap, VocabularyMap, object]:
    torch.manual_seed(1)
    student = torch.randn(2, 5, 30, requires_grad=True)
    rows = torch.arange(35).repeat_interleave(2)
    carried = VocabularyMap(rows, torch.randint(0, 30, (70,)), 0.5 * torch.rand(70), (35, 30))
    same = VocabularyMap(torch.arange(20), torch.randperm(30)[:20], torch.ones(20), (35, 30))
    _, came, _ = made()
    ends = torch.tensor([[0, 1, 2, 4, 5], [0, 1, 3, 4, 6]])
    spans = between((torch.randint(0, 30, (2, 5)), torch.tensor([[0, 1, 3, 4, 5], [0, 2, 3, 4, 6]])), (came, ends))
    return student, came, carried, same, spans


LOSSES = {
    "vocabulary_transport": lambda carried, same: VocabularyTransport(carried, temperature=2.0),
    "string_projection": lambda carried, same: StringProjection(carried),
    "alm": lambda carried, same: ALM(),
    "gold": lambda carried, same: GOLD(same),
    "gold, all matched": lambda carried, same: GOLD(
        VocabularyMap(torch.arange(37), torch.arange(37) % 30, torch.ones(37), (37, 30)), matched_weight=0.5
    ),
    "uld": lambda carried, same: ULD(merge="observed"),
    "uld by number": lambda carried, same: ULD(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_say_the_same_of_whole_logits(name):
    student, _, carried, same, spans = between_two()
    known = made()[2]
    loss = LOSSES[name](carried, same)
    found = [loss(student, teacher, spans=spans) for teacher in (known, known.to_dense())]
    torch.testing.assert_close(*found)
    torch.testing.assert_close(*(torch.autograd.grad(value, student)[0] for value in found), rtol=1e-4, atol=1e-6)


def test_only_the_likeliest_of_the_likeliest_are_carried():
    student, _, carried, _, spans = between_two()
    known = made()[2]
    few = VocabularyTransport(carried, top=3)
    torch.testing.assert_close(few(student, known, spans=spans), few(student, known.to_dense(), spans=spans))


@pytest.mark.parametrize("loss", [KD(2.0), KD(1.0, "js")])
def test_losses_of_one_vocabulary(loss):
    known, student = made()[2], torch.randn(2, 5, WIDTH)
    torch.testing.assert_close(loss(student, known), loss(student, known.to_dense()))
