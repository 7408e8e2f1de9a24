"""The teacher's next token, carried by a plan."""

import pytest
import torch

from kantor.capture.spans import between
from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.kd import kd
from kantor.losses.string_projection import string_projection
from kantor.losses.vocabulary_map import VocabularyMap
from kantor.losses.vocabulary_transport import VocabularyTransport, vocabulary_transport


def identity(size: int) -> VocabularyMap:
    every = torch.arange(size)
    return VocabularyMap(every, every, torch.ones(size), (size, size))


@pytest.mark.parametrize("top", [None, 7])
def test_the_identity_is_kd(top) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 5, 7, requires_grad=True), torch.randn(3, 5, 7)
    value = vocabulary_transport(student, teacher, identity(7), temperature=2.0, top=top)
    expected = kd(student, teacher, temperature=2.0)
    torch.testing.assert_close(value, expected)
    ours, theirs = (torch.autograd.grad(x, student)[0] for x in (value, expected))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(string_projection(student, teacher, identity(7), temperature=2.0), expected)


def test_chunks_change_nothing(monkeypatch) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 5, 7, requires_grad=True), torch.randn(3, 5, 7)
    whole = torch.autograd.grad(vocabulary_transport(student, teacher, identity(7)), student)[0]
    import kantor.losses.token_rows as token_rows

    monkeypatch.setattr(token_rows.row_values, "__defaults__", (None, 4))
    torch.testing.assert_close(
        torch.autograd.grad(vocabulary_transport(student, teacher, identity(7)), student)[0], whole
    )


def test_mass_without_a_partner_teaches_nothing() -> None:
    """Half of what the teacher says has no partner: the rest counts by half."""
    teacher = torch.tensor([[[0.0, 0.0]]])
    student = torch.tensor([[[1.0, -1.0]]])
    half = VocabularyMap(torch.tensor([0]), torch.tensor([0]), torch.ones(1), (2, 2))
    expected = -0.5 * student.log_softmax(-1)[0, 0, 0]
    torch.testing.assert_close(vocabulary_transport(student, teacher, half), expected)


def test_a_perfect_student_has_no_loss_where_both_begin_anew() -> None:
    # "ab|c|d" against "a|b|cd", each after a mark: both begin tokens at 0 and at 2.
    student_side = torch.tensor([[9, 0, 1, 2]]), torch.tensor([[0, 2, 3, 4]])
    teacher_side = torch.tensor([[9, 0, 1, 2]]), torch.tensor([[0, 1, 2, 4]])
    torch.manual_seed(0)
    teacher = torch.randn(1, 4, 6)
    dense = torch.rand(6, 4).softmax(-1)
    rows, columns = dense.nonzero().T
    plan = VocabularyMap(rows, columns, dense[rows, columns], (6, 4))
    student = torch.randn(1, 4, 4)
    student[0, 0] = (teacher[0, 0].softmax(-1) @ dense).log()
    student[0, 1] = (teacher[0, 2].softmax(-1) @ dense).log()
    spans = between(student_side, teacher_side)
    assert vocabulary_transport(student, teacher, plan, spans=spans).abs() < 1e-6
    student[0, 1] += torch.arange(4)
    assert vocabulary_transport(student, teacher, plan, spans=spans) > 0.01
    labels = torch.tensor([[-100, 0, -100, 2]])  # only the first span's token counts
    assert vocabulary_transport(student, teacher, plan, spans=spans, targets=labels).abs() < 1e-6


def test_a_model_may_be_wider_than_its_tokenizer() -> None:
    """Padded vocabularies: 151,936 beside 152,064."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 7), torch.randn(2, 3, 9)
    narrow = vocabulary_transport(student, teacher[..., :5], identity(5))
    wide = torch.cat([teacher[..., :5], torch.full((2, 3, 4), -torch.inf)], dim=-1)
    torch.testing.assert_close(vocabulary_transport(student, wide, identity(5)), narrow)


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="where their tokens end in the text is not known"):
        vocabulary_transport(torch.zeros(2, 3, 5), torch.zeros(2, 4, 5), identity(5))
    with pytest.raises(ShapeError, match="over 4 tokens and the student's over 5, but the plan is between 5 and 5"):
        vocabulary_transport(torch.zeros(2, 3, 5), torch.zeros(2, 3, 4), identity(5))
    with pytest.raises(ConfigError, match="tokens of the two vocabularies correspond"):
        VocabularyTransport().build((torch.Size((2, 3, 5)),), (torch.Size((2, 3, 5)),), 0)
    with pytest.raises(ConfigError, match="temperature"):
        VocabularyTransport(temperature=0.0)


def test_what_is_no_map_between_vocabularies_is_named():
    with pytest.raises(ConfigError, match=r"takes a map between two vocabularies .*and not a Tensor"):
        vocabulary_transport(torch.randn(2, 3, 5), torch.randn(2, 3, 6), torch.zeros(6, 5))


@pytest.mark.parametrize("loss", [vocabulary_transport, string_projection])
def test_padding_counts_nowhere(loss):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 6, requires_grad=True), torch.randn(2, 5, 6)
    mask = torch.arange(5) < torch.tensor([[3], [3]])
    padded = loss(student, teacher, identity(6), masks=(mask, mask))
    torch.testing.assert_close(padded, loss(student[:, :3], teacher[:, :3], identity(6)))
    (gradient,) = torch.autograd.grad(padded, student)
    assert not gradient[:, 3:].any() and gradient[:, :3].any()
