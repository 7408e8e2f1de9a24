import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kantor.models.builtin.resnet import BasicBlock, ResNet


# Table 6 of the paper, in millions.
@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_parameters_as_in_the_paper(depth, millions):
    network = ResNet(depth, 10, (3, 32, 32))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in network.modules()) == depth


@pytest.mark.parametrize("width", [0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 21, 17)])
def test_width_and_input(width, shape):
    network = ResNet(8, 5, shape, width=width)
    assert network(torch.randn(2, *shape)).shape == (2, 5)
    assert network.linear.in_features == round(64 * width)


def test_shortcut_is_every_second_pixel_between_zeros():
    block = BasicBlock(4, 8, stride=2).eval()
    nn.init.zeros_(block.bn2.weight)  # the residual is zero
    x = torch.randn(2, 4, 6, 6)
    out = block(x)
    assert torch.equal(out[:, 2:6], F.relu(x[:, :, ::2, ::2]))
    assert out[:, :2].abs().sum() + out[:, 6:].abs().sum() == 0


def test_gradients_reach_every_parameter():
    network = ResNet(14, 5, (3, 16, 16))
    F.cross_entropy(network(torch.randn(4, 3, 16, 16)), torch.arange(4)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
