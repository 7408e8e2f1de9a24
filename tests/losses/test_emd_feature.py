"""EMD on features: exact transport, and what it does not see."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.emd_feature import EMDFeature, emd_feature


def points() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(10, 4, generator=g, dtype=torch.float64), torch.randn(10, 4, generator=g, dtype=torch.float64)


def test_exact_is_the_best_assignment() -> None:
    student, teacher = points()
    distances = torch.cdist(teacher, student)
    best = distances[linear_sum_assignment(distances)].mean()
    torch.testing.assert_close(emd_feature(student, teacher, method="exact"), best)
    torch.testing.assert_close(emd_feature(student, teacher), best, rtol=0.02, atol=0)


@pytest.mark.parametrize("method", ["proximal", "exact"])
def test_order_and_a_common_shift_do_not_matter_and_scale_does(method) -> None:
    student, teacher = points()
    value = emd_feature(student, teacher, method=method)
    order = torch.randperm(10)
    torch.testing.assert_close(emd_feature(student[order] + 5, teacher + 5, method=method), value)
    torch.testing.assert_close(emd_feature(30 * student, 30 * teacher, method=method), 30 * value)
    assert emd_feature(teacher[order], teacher, method="exact") < 1e-6


def test_cost_of_a_shift() -> None:
    """A batch moved as a whole is as far away as the move is long."""
    _, teacher = points()
    move = torch.tensor([3.0, 0.0, 4.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(emd_feature(teacher + 10 * move, teacher, method="exact"), torch.tensor(50.0).double())


def test_gradient_with_the_plan_held() -> None:
    student, teacher = points()
    student.requires_grad_()
    distances = torch.cdist(teacher, student)
    rows, columns = linear_sum_assignment(distances.detach())
    (expected,) = torch.autograd.grad(distances[rows, columns].mean(), student)
    (gradient,) = torch.autograd.grad(emd_feature(student, teacher, method="exact"), student)
    torch.testing.assert_close(gradient, expected)


def test_projects_only_a_student_of_another_width() -> None:
    same, other = EMDFeature(), EMDFeature()
    same.build((torch.Size((5, 6, 2, 2)),), (torch.Size((5, 6)),), 0)
    other.build((torch.Size((5, 6)),), (torch.Size((5, 10)),), 0)
    assert not list(same.parameters())
    assert other.projection.weight.shape == (10, 6)


def test_refuses() -> None:
    with pytest.raises(ShapeError, match=r"\(5, 6\).*\(5, 7\)"):
        emd_feature(torch.randn(5, 6), torch.randn(5, 7))
    with pytest.raises(ShapeError):
        EMDFeature().build((torch.Size((5,)),), (torch.Size((5, 10)),), 0)
    with pytest.raises(ConfigError, match="Unknown cost"):
        EMDFeature(cost="eucl")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="method"):
        EMDFeature(method="sinkhorn")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="beta and steps"):
        EMDFeature(beta=-1.0)
