"""SinKD."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.sinkd import SinKD, sinkd
from tests.losses.stored import assert_near, both_precisions, load


@both_precisions
def test_as_sinkd(dtype: torch.dtype, tolerance: float) -> None:
    saved = load("sinkd")
    student = saved["student"].to(dtype).requires_grad_()
    value = sinkd(student, saved["teacher"].to(dtype))
    assert_near(value.detach(), saved["value"], tolerance)
    (gradient,) = torch.autograd.grad(value, student)
    assert_near(gradient, saved["student_grad"], tolerance)


def test_order_does_not_matter() -> None:
    torch.manual_seed(0)
    student, teacher = 3 * torch.randn(6, 5), 3 * torch.randn(6, 5)
    torch.testing.assert_close(sinkd(student[torch.randperm(6)], teacher), sinkd(student, teacher), rtol=1e-4, atol=0)


def test_nearly_zero_for_the_same_far_apart_predictions() -> None:
    logits = 40 * torch.eye(5)
    assert sinkd(logits, logits) < 1e-9
    assert sinkd(logits.roll(1, 0), logits) < 1e-9
    assert sinkd(torch.zeros(5, 5), logits) > 1e-3


def test_envelope_is_the_same_transport_with_its_regulariser() -> None:
    torch.manual_seed(0)
    student, teacher = 3 * torch.randn(6, 5).double(), 3 * torch.randn(6, 5).double()
    many = sinkd(student, teacher, sweeps=500, epsilon=0.1)
    envelope = sinkd(student, teacher, gradient="envelope", epsilon=0.1)
    # The regulariser is at most epsilon * log(6) a sample.
    assert many < envelope < many + 6e-3 * 0.1 * torch.tensor(6.0).log()


def test_refuses() -> None:
    with pytest.raises(ShapeError, match=r"\(5, 4\).*\(5, 6\)"):
        sinkd(torch.randn(5, 4), torch.randn(5, 6))
    with pytest.raises(ShapeError, match="emd_feature"):
        SinKD().build((torch.Size((5, 4)),), (torch.Size((5, 6)),), 0)
    for wrong in ({"temperature": 0.0}, {"epsilon": 0.01}, {"sweeps": 0}, {"gradient": "exact"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SinKD(**wrong)  # type: ignore[arg-type]
