"""DELTA."""

import pytest
import torch
from torch import nn

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.delta import Delta, channel_attention, delta, loss_increases
from tests.losses.stored import assert_as_public, assert_near, both_precisions, load, numbered


class Small(nn.Module):
    """The network the public code was run on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        return self.fc(self.bn2(self.conv2(x)).relu().mean((2, 3)))


@both_precisions
def test_as_the_transfer_learning_library(dtype, tolerance):
    assert_as_public("delta", Delta, dtype, tolerance)


def test_attention_as_the_authors():
    stored = load("delta_attention")
    network = Small().double()
    network.load_state_dict({k.removeprefix("network_"): v for k, v in stored.items() if k.startswith("network_")})
    before = {k: v.clone() for k, v in network.state_dict().items()}
    batches = zip([x.double() for x in numbered(stored, "inputs")], numbered(stored, "targets"), strict=True)
    increases = loss_increases(network, ["conv1", "conv2"], batches)
    for place, increase in enumerate(increases):
        assert_near(increase, stored[f"increase_{place}"], 1e-9)
        assert_near(channel_attention(increase), stored[f"attention_{place}"].double(), 1e-6)
    assert network.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not network.conv1._forward_hooks


def test_attention_chooses_channels_and_is_kept():
    g = torch.Generator().manual_seed(0)
    s, t = torch.randn(2, 3, 4, 5, 5, generator=g)
    loss, resumed = Delta(temperature=0.1), Delta()
    for each in (loss, resumed):
        each.build((s.shape,), (t.shape,), 0)
    torch.testing.assert_close(loss((s,), (t,)), 0.5 * (s - t).square().sum() / 25)
    loss.attend([torch.tensor([0.0, 9.0, 0.0, 0.0])])
    torch.testing.assert_close(loss((s,), (t,)), 0.5 * 4 * (s - t)[:, 1].square().sum() / 25)
    resumed.load_state_dict(loss.state_dict())
    assert torch.equal(resumed((s,), (t,)), loss((s,), (t,)))


def test_tokens_have_channels_last_and_vectors_no_positions():
    x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    attention = torch.tensor([0.1, 0.2, 0.3, 0.4])
    tokens = x.flatten(2).transpose(1, 2)
    torch.testing.assert_close(delta(tokens, 0 * tokens, attention), delta(x, 0 * x, attention))
    vectors = x[:, :, :1, :1]
    torch.testing.assert_close(
        delta(vectors[:, :, 0, 0], torch.zeros(3, 4), attention), delta(vectors, 0 * vectors, attention)
    )


def test_equal_increases_weigh_alike():
    torch.testing.assert_close(channel_attention(torch.ones(4)), torch.full((4,), 0.25))


def test_refusals():
    one, other = torch.Size([8, 4, 6, 6]), torch.Size([8, 5, 6, 6])
    with pytest.raises(ShapeError, match=r"\(8, 4, 6, 6\).*\(8, 5, 6, 6\)"):
        Delta().build((one,), (other,), 0)
    loss = Delta()
    loss.build((one,), (one,), 0)
    with pytest.raises(ShapeError, match="increases"):
        loss.attend([torch.zeros(5)])
    with pytest.raises(ConfigError, match="given none"):
        loss_increases(Small(), ["conv1"], [])
    with pytest.raises(ConfigError, match="temperature"):
        Delta(temperature=0.0)
