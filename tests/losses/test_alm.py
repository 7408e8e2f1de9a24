"""Likelihoods of spans of text."""

import pytest
import torch

from kantor.capture.spans import between
from kantor.core.errors import ConfigError
from kantor.losses.alm import ALM, alm
from kantor.losses.said import log_likelihoods, over_spans


def two_views():
    """ "ab|c|d" and "a|b|cd", each after a mark."""
    torch.manual_seed(0)
    student = torch.tensor([[4, 0, 1, 2]]), torch.tensor([[0, 2, 3, 4]])
    teacher = torch.tensor([[5, 0, 1, 2]]), torch.tensor([[0, 1, 2, 4]])
    return between(student, teacher), torch.randn(1, 4, 5, dtype=torch.float64), torch.randn(1, 4, 6).double()


def test_likelihoods_are_products_over_a_span() -> None:
    spans, student, teacher = two_views()
    p_s, p_t = student.softmax(-1)[0], teacher.softmax(-1)[0]
    ours = over_spans(log_likelihoods(student, spans.student.tokens), spans.student).exp()
    theirs = over_spans(log_likelihoods(teacher, spans.teacher.tokens), spans.teacher).exp()
    torch.testing.assert_close(ours, torch.stack([p_s[0, 0], p_s[1, 1] * p_s[2, 2]])[None])
    torch.testing.assert_close(theirs, torch.stack([p_t[0, 0] * p_t[1, 1], p_t[2, 2]])[None])


def test_as_tokenkit() -> None:
    """Its ``binary_ce`` is ours but for the teacher's entropy and the factor T (bminixhofer/tokenkit@bcacdef)."""
    spans, student, teacher = two_views()
    student.requires_grad_()
    ours, theirs = (
        over_spans(log_likelihoods(logits, side.tokens), side) / 100 - 1e-6
        for logits, side in ((student, spans.student), (teacher, spans.teacher))
    )
    cross_entropy = -(theirs.exp() * ours + (1 - theirs.exp()) * (1 - ours.exp()).log())
    expected = torch.autograd.grad(100 * cross_entropy.mean(), student)[0]
    torch.testing.assert_close(torch.autograd.grad(alm(student, teacher, spans), student)[0], expected)


def test_is_zero_where_all_spans_are_as_likely_and_has_a_limit() -> None:
    spans, student, teacher = two_views()
    side = spans.student.tokens, torch.tensor([[0, 2, 3, 4]])
    assert alm(student, student, between(side, side)).abs() < 1e-9
    values = [alm(student, teacher, spans, temperature=t).item() for t in (1e3, 1e4)]
    assert values[0] == pytest.approx(values[1], rel=0.05)
    labels = torch.full((1, 4), -100)
    assert alm(student, teacher, spans, targets=labels) == 0


def test_a_certain_span_is_finite() -> None:
    spans, _, teacher = two_views()
    sure = torch.zeros(1, 4, 5)
    sure[0, [0, 1, 2], [0, 1, 2]] = 1000
    sure.requires_grad_()
    value = alm(sure, teacher.float(), spans)
    assert value.isfinite() and torch.autograd.grad(value, sure)[0].isfinite().all()


def test_refuses() -> None:
    with pytest.raises(ConfigError, match="spans"):
        ALM()(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))


def test_what_is_no_record_of_spans_is_named():
    _, student, teacher = two_views()
    with pytest.raises(ConfigError, match=r"alm takes spans as kantor\.capture\.spans\.between gives them, and not a"):
        alm(student, teacher, torch.zeros(1, 4))
