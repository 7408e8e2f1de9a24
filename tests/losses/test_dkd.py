"""DKD."""

import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.dkd import DKD, dkd
from tests.losses.stored import assert_as_public, both_precisions


@both_precisions
@pytest.mark.parametrize(
    ("name", "settings"), [("dkd", {}), ("dkd_beta2", {"beta": 2.0, "temperature": 2.0})], ids=["default", "beta2"]
)
def test_as_mdistiller(name, settings, dtype, tolerance):
    assert_as_public(name, lambda: DKD(**settings), dtype, tolerance)


def test_parts_recombine_to_plain_distillation():
    g = torch.Generator().manual_seed(0)
    s, t = torch.randn(2, 1, 6, generator=g, dtype=torch.float64)
    y = torch.tensor([4])
    probability = (t / 3).softmax(1)
    expected = 9 * (probability * (probability.log() - (s / 3).log_softmax(1))).sum()
    beta = float(1 - probability[0, 4])
    torch.testing.assert_close(dkd(s, t, y, alpha=1.0, beta=beta, temperature=3.0), expected)


def test_certain_networks_give_finite_gradients():
    s = torch.tensor([[-200.0, 300.0, 0.0], [0.0, 0.0, 1.0]], requires_grad=True)
    t = torch.tensor([[900.0, -900.0, 0.0], [1.0, 2.0, 3.0]])
    value = dkd(s, t, torch.tensor([0, 1]))
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(s.grad).all()


def test_refusals():
    with pytest.raises(ShapeError, match=r"\(8, 5\).*\(8, 4\)"):
        DKD().build((torch.Size([8, 5]),), (torch.Size([8, 4]),), 0)
    with pytest.raises(ConfigError, match="targets"):
        DKD()(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ConfigError, match="temperature"):
        DKD(temperature=0.0)
