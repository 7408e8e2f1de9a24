"""LCKT: numbers of public proximal code, its invariances, and the gradient with the plan held."""

import pytest
import torch

from kantor import ot
from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.lckt import LCKT, lckt
from tests.losses.stored import assert_near, both_precisions, load


@both_precisions
@pytest.mark.parametrize("problem", ["", "2"])
def test_as_ot_seq2seq(problem: str, dtype: torch.dtype, tolerance: float) -> None:
    """The IPOT of the paper's first author: cosine cost, beta .5, 50 steps, loss <C, T>."""
    saved = load("lckt")
    student, teacher = (saved[f"{side}{problem}"].to(dtype) for side in ("student", "teacher"))
    assert_near(lckt(student, teacher), saved[f"value{problem}"], tolerance)


def test_zero_for_the_same_directions_in_any_order_and_scale() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(12, 20)
    student = 3.0 * teacher[torch.randperm(12)] * torch.rand(12, 1).add(0.5)
    assert 0 <= lckt(student, teacher) < 2e-3
    assert lckt(-student, teacher) > 0.5


def test_a_sample_may_go_to_another_than_its_own() -> None:
    """Optimal transport is at most the cost of matching every sample to itself."""
    torch.manual_seed(0)
    student, teacher = torch.randn(12, 20), torch.randn(12, 20)
    paired = (1 - torch.cosine_similarity(student, teacher)).mean()
    assert lckt(student, teacher) < paired - 0.05
    exact = ot.Exact()(ot.cost(teacher, student, "cosine")).cost
    torch.testing.assert_close(lckt(student, teacher), exact, rtol=0.02, atol=0)


def test_gradient_with_the_plan_held() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(6, 4, dtype=torch.float64, requires_grad=True), torch.randn(7, 4).double()
    plan = ot.Proximal(0.5, 50)(ot.cost(teacher, student, "cosine")).plan

    def held(x: torch.Tensor) -> torch.Tensor:
        return (plan * ot.cost(teacher, x, "cosine")).sum()

    torch.autograd.gradcheck(held, [student])
    (gradient,) = torch.autograd.grad(lckt(student, teacher), student)
    torch.testing.assert_close(gradient, torch.autograd.grad(held(student), student)[0])


def test_teacher_takes_no_gradient() -> None:
    teacher = torch.randn(6, 4, requires_grad=True)
    value = lckt(torch.randn(6, 4, requires_grad=True), teacher)
    assert torch.autograd.grad(value, teacher, allow_unused=True) == (None,)


def test_embeds_only_a_student_of_another_width() -> None:
    same, other = LCKT(), LCKT()
    same.build((torch.Size((5, 6, 2, 2)),), (torch.Size((5, 6)),), 0)
    other.build((torch.Size((5, 6)),), (torch.Size((5, 10)),), 0)
    assert not list(same.parameters())
    assert other.get_parameter("student_embedding.linear.weight").shape == (10, 6)
    student, teacher = torch.randn(5, 6, 2, 2), torch.randn(5, 6)
    torch.testing.assert_close(same(student, teacher), lckt(student.mean((2, 3)), teacher))


def test_per_rank_is_the_same_in_one_process() -> None:
    student, teacher = torch.randn(5, 6), torch.randn(5, 6)
    values = []
    for per_rank in (False, True):
        loss = LCKT(per_rank=per_rank)
        loss.build((student.shape,), (teacher.shape,), 0)
        values.append(loss(student, teacher))
    assert torch.equal(*values)


def test_refuses() -> None:
    with pytest.raises(ShapeError, match=r"\(5, 6\).*\(5, 7\)"):
        lckt(torch.randn(5, 6), torch.randn(5, 7))
    with pytest.raises(ShapeError):
        LCKT().build((torch.Size((5,)),), (torch.Size((5, 10)),), 0)
    for wrong in ({"beta": 0.0}, {"steps": 0}):
        with pytest.raises(ConfigError, match="beta and steps"):
            LCKT(**wrong)
