import pytest
import torch
from torch import nn

from kantor.capture import candidates
from kantor.models import load


def test_candidates_in_the_order_they_return_with_rising_depth():
    layers = candidates(load("resnet8", classes=4), torch.rand(1, 3, 32, 32))
    paths = [layer.path for layer in layers]
    assert paths.index("conv1") < paths.index("layer1.0.conv1") < paths.index("layer1") < paths.index("linear")
    depths = [layer.depth for layer in layers]
    assert depths == sorted(depths)
    assert depths[0] > 0
    assert depths[-1] == 1


def test_kind_shape_grid_and_width():
    found = {layer.path: layer for layer in candidates(load("vit", classes=4), torch.rand(2, 3, 32, 32))}
    block, patches, head = found["blocks.1"], found["patches"], found["head"]
    assert (block.kind, block.shape, block.grid, block.width, block.cells) == ("tokens", (65, 64), (8, 8), 64, 64)
    assert (patches.kind, patches.shape, patches.grid, patches.width) == ("map", (64, 8, 8), (8, 8), 64)
    assert (head.kind, head.shape, head.grid, head.width) == ("vector", (4,), (1, 1), 4)
    assert patches.leaves == 0
    assert block.leaves == 7
    assert head.parameters == 4 * 64 + 4


def test_the_network_is_left_as_it_was():
    model = load("resnet8", classes=4)
    model.network.get_submodule("layer2").eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    candidates(model, torch.rand(4, 3, 32, 32))
    assert model.training
    assert model.network.get_submodule("layer1").training
    assert not model.network.get_submodule("layer2").training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_modes_come_back_after_an_error():
    model = load("resnet8", classes=4)
    with pytest.raises(RuntimeError):
        candidates(model.network, torch.rand(1, 1, 32, 32))
    assert all(module.training for module in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_what_did_not_run_or_cannot_be_read_is_left_out():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.never, self.pick = nn.Flatten(0), nn.Linear(2, 2), nn.Identity()

        def forward(self, x):
            self.flat(x)
            return self.pick(x)

    assert [layer.path for layer in candidates(Odd(), torch.rand(2, 6))] == ["pick"]
