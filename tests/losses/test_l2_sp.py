"""L2-SP."""

import pytest
import torch
from torch import nn

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.l2_sp import L2SP
from tests.losses.stored import assert_near, both_precisions, load


def network(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, classes))


def part(stored, prefix):
    return {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}


@both_precisions
def test_as_the_transfer_learning_library(dtype, tolerance):
    stored = load("l2_sp")
    student = network(4).to(dtype)
    with torch.no_grad():
        for name, value in part(stored, "student_").items():
            student.get_parameter(name).copy_(value)
    penalty = L2SP()
    penalty.build(student, part(stored, "source_"))
    assert penalty.new == ["3.weight", "3.bias"]
    value = penalty(student)
    assert_near(value.detach(), stored["value"], tolerance)
    value.backward()
    for name, expected in part(stored, "grad_").items():
        assert_near(student.get_parameter(name).grad, expected, tolerance)


def test_zero_at_the_start_and_only_there():
    student = network()
    source = {k: v.clone() for k, v in student.state_dict().items()}
    penalty = L2SP(alpha=2.0)
    penalty.build(student, source)
    assert penalty.new == [] and penalty(student) == 0
    with torch.no_grad():
        student.get_parameter("0.bias").add_(1)
    assert penalty(student).item() == pytest.approx(3.0)
    source["0.bias"] += 1  # the starting point is a copy
    assert penalty(student).item() == pytest.approx(3.0)


def test_state_survives_a_strict_round_trip():
    student = network()
    first, second = L2SP(), L2SP()
    first.build(student, network().state_dict())
    second.build(student, network().state_dict())
    assert first(student) != second(student)
    second.load_state_dict(first.state_dict(), strict=True)
    assert first(student) == second(student)


def test_gradcheck_and_compile():
    student = network().double()
    penalty = L2SP(alpha=1.0)
    penalty.build(student, {k: v + 0.1 for k, v in student.state_dict().items() if v.is_floating_point()})
    names, values = zip(*student.named_parameters(), strict=True)

    class Asked(nn.Module):
        def __init__(self, weights):
            super().__init__()
            self.weights = dict(zip(names, weights, strict=True))

        def named_parameters(self, *args, **kwargs):
            return iter(self.weights.items())

    inputs = [v.detach().clone().requires_grad_() for v in values]
    assert torch.autograd.gradcheck(lambda *w: penalty(Asked(w)), inputs, fast_mode=True)
    torch.compiler.reset()
    compiled = torch.compile(penalty, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(student), penalty(student))


def test_refusals():
    with pytest.raises(ShapeError, match=r"0.weight \(3, 2, 3, 3\).*x \(2,\)"):
        L2SP().build(network(), {"x": torch.zeros(2)})
    with pytest.raises(ConfigError, match="negative"):
        L2SP(alpha=-1.0)
