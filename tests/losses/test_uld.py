"""ULD, and the answers that losses on sequences compare."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.sequences import answer_logits
from kantor.losses.uld import ULD, uld
from tests.losses.stored import assert_near, load


def test_as_llm_recipes() -> None:
    """The public loss sums in float32, whatever it is given."""
    saved = load("uld")
    student = saved["student"].requires_grad_()
    (s, s_lengths), (t, t_lengths) = (
        answer_logits(logits, saved[f"{side}_labels"])
        for side, logits in (("student", student), ("teacher", saved["teacher"]))
    )
    value = uld(s, t, s_lengths, t_lengths)
    assert_near(value.detach(), saved["value"].double(), 1e-6)
    (gradient,) = torch.autograd.grad(value, student)
    assert_near(gradient, saved["student_grad"], 1e-5)


def test_is_blind_to_the_names_of_tokens() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 7)
    assert uld(logits[:, :, torch.randperm(7)], logits) < 1e-6
    # A larger vocabulary whose further tokens never occur.
    wide = torch.cat([logits, torch.full((3, 4, 5), -torch.inf)], dim=2)
    assert uld(wide, logits) < 1e-6
    assert uld(logits, 3 * logits) > 0.1


def test_is_at_most_two_and_counts_the_shorter_answer() -> None:
    sure, even = torch.zeros(1, 3, 100), torch.zeros(1, 5, 100)
    sure[:, :, 0] = 100
    torch.testing.assert_close(uld(sure, even), torch.tensor(2 * 0.99))
    student, teacher = torch.randn(2, 3, 6), torch.randn(2, 5, 6)
    whole = uld(student, teacher, torch.tensor([2, 3]), torch.tensor([5, 1]))
    torch.testing.assert_close(whole, (uld(student[:1, :2], teacher[:1]) + uld(student[1:, :1], teacher[1:])) / 2)
    assert uld(student, teacher, torch.tensor([0, 0])) == 0


def test_answers_are_moved_to_the_front() -> None:
    logits = torch.arange(2 * 5 * 3.0).view(2, 5, 3)
    labels = torch.tensor([[-100, -100, 7, 8, -100], [4, 5, -100, -100, -100]])
    answers, lengths = answer_logits(logits, labels)
    assert lengths.tolist() == [2, 2]
    assert torch.equal(answers[0, :2], logits[0, 1:3])  # what predicts the tokens at 2 and 3
    assert torch.equal(answers[1, :2], logits[1, :2])
    assert not answers[:, 2:].any()
    with pytest.raises(ShapeError, match="token by token"):
        answer_logits(logits, labels[:, :3])


def test_targets_mark_the_answer_on_both_sides() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 6), torch.randn(2, 5, 8)
    labels = torch.tensor([[-100, 1, 2, -100, -100], [-100, -100, -100, 3, 4]])
    loss = ULD()
    loss.build((student.shape,), (teacher.shape,), 0)
    expected = (uld(student[:1, :2], teacher[:1, :2]) + uld(student[1:, 2:4], teacher[1:, 2:4])) / 2
    torch.testing.assert_close(loss(student, teacher, targets=labels), expected)
    with pytest.raises(ShapeError, match="answer_logits"):
        loss(student, teacher[:, :4], targets=labels)


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="logits per token"):
        ULD().build((torch.Size((5, 4)),), (torch.Size((5, 6)),), 0)
    with pytest.raises(ConfigError, match="temperatures"):
        ULD(student_temperature=0.0)
