"""Multi-Level OT."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.multilevel_ot import MultiLevelOT, multilevel_ot
from kantor.losses.sequences import answer_logits
from tests.losses.stored import assert_near, both_precisions, load


@both_precisions
def test_as_multi_level_ot(dtype, tolerance) -> None:
    saved = load("multilevel_ot")
    student = saved["student"].to(dtype).requires_grad_()
    (s, s_lengths), (t, t_lengths) = (
        answer_logits(logits, saved[f"{side}_labels"])
        for side, logits in (("student", student), ("teacher", saved["teacher"].to(dtype)))
    )
    value = multilevel_ot(s, t, s_lengths, t_lengths)
    # The public loss keeps the token term in float32.
    assert_near(value.detach(), saved["value"], max(tolerance, 1e-6))
    (gradient,) = torch.autograd.grad(value, student)
    assert_near(gradient, saved["student_grad"], max(tolerance, 1e-6))


@pytest.mark.parametrize("matching", ["sorted", "greedy"])
def test_is_blind_to_the_names_of_tokens(matching) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 4, 9), torch.randn(3, 5, 12)
    value = multilevel_ot(student, teacher, top=6, matching=matching)
    renamed = multilevel_ot(
        student[:, :, torch.randperm(9)], teacher[:, :, torch.randperm(12)], top=6, matching=matching
    )
    torch.testing.assert_close(renamed, value)


def test_greedy_finds_a_hidden_renaming_of_sequences() -> None:
    """Each sample's tokens renamed apart: sorting the batch cannot undo it, matching columns can."""
    torch.manual_seed(0)
    teacher = 3 * torch.randn(3, 6, 8)
    student = torch.stack([x[:, torch.randperm(8)] for x in teacher])
    same = multilevel_ot(teacher, teacher, top=8)
    torch.testing.assert_close(multilevel_ot(student, teacher, top=8, matching="greedy"), same)
    assert multilevel_ot(student, teacher, top=8) > same + 0.1


def test_scale_of_logits_does_not_matter() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 4, 9), torch.randn(3, 4, 9)
    torch.testing.assert_close(multilevel_ot(50 * student, teacher), multilevel_ot(student, teacher), rtol=1e-3, atol=0)


def test_envelope_differs_by_its_regulariser_alone() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 4, 9), torch.randn(3, 4, 9)
    many = multilevel_ot(student, teacher, sweeps=300)
    envelope = multilevel_ot(student, teacher, gradient="envelope")
    assert many < envelope < many + 1e-4 * 12 * 0.1 * torch.tensor(4.0).log()


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="logits per token"):
        MultiLevelOT().build((torch.Size((5, 4)),), (torch.Size((5, 6)),), 0)
    for wrong in ({"top": 0}, {"matching": "x"}, {"epsilon": 0.01}, {"sweeps": 0}, {"gradient": "x"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            MultiLevelOT(**wrong)  # type: ignore[arg-type]
