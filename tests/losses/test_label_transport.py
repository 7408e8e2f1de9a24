"""Label transport: distances in closed form, label sets that differ, gradients."""

import pytest
import torch

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.losses import LabelCost, LabelTransport, label_transport, named


def line(*places: float) -> torch.Tensor:
    """Distances between classes that lie on a line."""
    x = torch.tensor(places, dtype=torch.float64)
    return (x[:, None] - x).abs()


def logits(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities], dtype=torch.float64).log()


def separate(places_t: list[float], places_s: list[float]) -> LabelCost:
    """Two label sets on one line."""
    together, t = line(*places_t, *places_s), len(places_t)
    return LabelCost(together[:t, t:], together[t:, t:], together[:t, :t])


@pytest.mark.parametrize("debiased", [True, False])
def test_total_variation_for_a_zero_one_cost_and_small_epsilon(debiased):
    p, q = torch.tensor([0.7, 0.1, 0.2, 0.0]).double(), torch.tensor([0.3, 0.0, 0.3, 0.4]).double()
    cost = 1 - torch.eye(4, dtype=torch.float64)
    value = label_transport(q.log()[None], p.log()[None], cost, epsilon=1e-3, tol=1e-8, debiased=debiased)
    assert value.item() == pytest.approx(0.5 * (p - q).abs().sum().item(), abs=2e-3)


def test_wasserstein_distance_on_a_line_between_disjoint_sets():
    # Masses .5, .5 at 0, 2 move to .25, .75 at 1, 5: in order, .25 from 0 to 1, .25 from 0 to 5, .5 from 2 to 5.
    cost = separate([0, 2], [1, 5])
    value = label_transport(logits(0.25, 0.75), logits(0.5, 0.5), cost, epsilon=5e-3, tol=1e-8)
    assert value.item() == pytest.approx(0.25 * 1 + 0.25 * 5 + 0.5 * 3, abs=2e-2)


def test_certain_predictions_cost_what_their_classes_cost():
    cost = LabelCost(torch.rand(3, 5), torch.zeros(5, 5), torch.zeros(3, 3))
    teacher, student = torch.full((1, 3), -1e4), torch.full((1, 5), -1e4)
    teacher[0, 2], student[0, 1] = 1e4, 1e4
    assert label_transport(student, teacher, cost).item() == pytest.approx(cost.cross[2, 1].item(), abs=1e-6)


def test_debiased_divergence_vanishes_at_the_teacher_alone():
    cost = line(0, 0.3, 1, 1.2, 2)
    teacher = logits(0.7, 0.15, 0.1, 0.04, 0.01)
    settings = {"epsilon": 0.5, "tol": 1e-9}
    assert label_transport(teacher, teacher, cost, **settings).item() == pytest.approx(0, abs=1e-9)
    student = teacher.clone().requires_grad_()
    for debiased, at_rest in ((True, True), (False, False)):
        (grad,) = torch.autograd.grad(label_transport(student, teacher, cost, debiased=debiased, **settings), student)
        assert (grad.norm().item() < 1e-6) == at_rest


def test_overlapping_sets_find_the_shared_class():
    # Teacher classes 0, 1, 2 on the line; the student knows 1, 2 and 9. A teacher sure of 1 pulls the student to 1.
    cost, student = separate([0, 1, 2], [1, 2, 9]), torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    teacher = logits(0.005, 0.99, 0.005)
    optimizer = torch.optim.Adam([student], lr=0.2)
    for _ in range(100):
        optimizer.zero_grad()
        label_transport(student, teacher, cost).backward()
        optimizer.step()
    assert student.softmax(-1)[0, 0].item() > 0.97


def test_zero_probabilities_have_finite_value_and_gradient():
    student = torch.tensor([[0.0, -400.0, 400.0]], requires_grad=True)  # two exact zeros in float32
    teacher = torch.tensor([[500.0, 0.0, -500.0, -500.0]])
    cost = LabelCost(torch.rand(4, 3), torch.zeros(3, 3), torch.zeros(4, 4))
    value = label_transport(student, teacher, cost)
    value.backward()
    assert value.item() == pytest.approx(cost.cross[0, 2].item(), abs=1e-6)
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("sharpening", [0.0, 2.0])
def test_gradcheck(debiased, sharpening):
    g = torch.Generator().manual_seed(0)
    cost = separate([0, 1, 2.5], [0.5, 1, 3, 4])
    teacher = torch.randn(3, 3, generator=g, dtype=torch.float64)
    student = torch.randn(3, 4, generator=g, dtype=torch.float64, requires_grad=True)

    def value(x):
        settings = {"temperature": 2.0, "epsilon": 1.0, "tol": 1e-12}
        return label_transport(x, teacher, cost, debiased=debiased, sharpening=sharpening, **settings)

    assert torch.autograd.gradcheck(value, (student,))


def test_batch_is_the_mean_of_its_samples():
    g = torch.Generator().manual_seed(0)
    cost, s, t = line(0, 1, 3), *torch.randn(2, 6, 3, generator=g, dtype=torch.float64)
    settings = {"epsilon": 1.0, "tol": 1e-9}
    alone = [label_transport(s[i : i + 1], t[i : i + 1], cost, **settings) for i in range(6)]
    torch.testing.assert_close(label_transport(s, t, cost, **settings), torch.stack(alone).mean(), rtol=1e-6, atol=0)


def test_sharpening_bounds_the_cost():
    far = LabelCost(torch.tensor([[50.0]]), torch.zeros(1, 1), torch.zeros(1, 1))
    one = torch.zeros(1, 1)
    assert label_transport(one, one, far).item() == pytest.approx(50)
    assert label_transport(one, one, far, sharpening=1.0).item() == pytest.approx(1)


def test_half_precision_is_computed_in_single():
    student = torch.randn(4, 3, dtype=torch.bfloat16, requires_grad=True)
    value = label_transport(student, torch.randn(4, 3, dtype=torch.float16), line(0, 1, 3).float())
    value.backward()
    assert value.dtype == torch.float32
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_term():
    loss = named("label_transport", epsilon=0.1)
    assert isinstance(loss, LabelTransport)
    with pytest.raises(ConfigError, match="--label-cost"):
        loss.build((torch.Size([2, 3]),), (torch.Size([2, 3]),), 0)
    loss.use(line(0, 1, 3))
    loss.build((torch.Size([2, 3]),), (torch.Size([2, 3]),), 0)
    s, t = torch.randn(2, 2, 3)
    torch.testing.assert_close(loss(s, t), label_transport(s, t, line(0, 1, 3), epsilon=0.1))
    assert not loss.state_dict()
    assert "epsilon=0.1" in loss.extra_repr()


def test_what_cannot_be_used_is_refused():
    with pytest.raises(ConfigError, match="Debiasing across two label sets"):
        LabelTransport(torch.rand(3, 3))
    LabelTransport(torch.rand(3, 4), debiased=False)
    with pytest.raises(ShapeError, match=r"student's are \(2, 5\).*\[3, 4\]"):
        LabelTransport(torch.rand(3, 4), debiased=False).build((torch.Size([2, 5]),), (torch.Size([2, 3]),), 0)
    with pytest.raises(ShapeError, match="of side 4"):
        LabelCost(torch.rand(3, 4), torch.rand(3, 3))
    with pytest.raises(NonFiniteError, match="cross"):
        LabelCost(torch.tensor([[-1.0]]))
    for setting in ({"temperature": 0.0}, {"epsilon": -1.0}, {"sharpening": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(setting))):
            LabelTransport(torch.rand(3, 4), **setting)
