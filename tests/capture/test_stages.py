from collections import OrderedDict

import pytest
import torch
from torch import nn

from kantor.capture import capture, stages
from kantor.core.errors import ConfigError
from kantor.models import load
from tests.capture.networks import STRANGERS

IMAGE = torch.rand(1, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet20", ["layer1", "layer2", "layer3"]),
        ("cnn", ["layer1", "layer2", "layer3"]),
        ("vit@depth=8", ["blocks.1", "blocks.3", "blocks.5", "blocks.7"]),
        ("vit@depth=2", ["blocks.0", "blocks.1"]),
        ("mlp@normalise=none@depth=3", ["layers.0", "layers.1", "layers.2"]),
    ],
)
def test_stages_of_the_built_ins(name, expected):
    assert [layer.path for layer in stages(load(name, classes=4), IMAGE)] == expected


def test_a_network_of_leaves_ends_a_stage_before_each_pooling():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip
    assert [layer.path for layer in stages(network, IMAGE)] == ["1", "4"]


def test_a_stem_is_no_stage():
    def stage(channels_in, channels_out, convolutions):
        convs = [nn.Conv2d(channels_out, channels_out, 3, padding=1) for _ in range(convolutions)]
        return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1), *convs)

    network = nn.Sequential()
    head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 4 * 4, 2))
    for name, module in {"stem": stage(3, 4, 0), "one": stage(4, 8, 4), "two": stage(8, 8, 4), "head": head}.items():
        network.add_module(name, module)
    assert [layer.path for layer in stages(network, IMAGE)] == ["one", "two"]


def test_nothing_to_read():
    class Odd(nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(ConfigError, match="No layer"):
        stages(Odd(), IMAGE)


@pytest.mark.parametrize("kind", STRANGERS)
def test_hidden_layers_of_strangers_networks(kind):
    make, expected = STRANGERS[kind]
    assert [layer.path for layer in stages(make(), torch.rand(2, 1, 28, 28))] == expected


@pytest.mark.parametrize("kind", STRANGERS)
def test_no_stage_is_what_the_classifier_says(kind):
    network, images = STRANGERS[kind][0]().eval(), torch.rand(3, 1, 28, 28)
    found = [layer.path for layer in stages(network, images)]
    with capture(network, found) as taken:
        logits = network(images)
    for path in found:
        # A prediction, or a map whose mean is one.
        x = taken[path].flatten(2).mean(2) if taken[path].ndim == 4 else taken[path]
        assert x.shape != logits.shape or not torch.allclose(x, logits, atol=1e-5)


def test_the_activation_is_read_and_not_what_comes_before_it():
    network, images = STRANGERS["perceptron"][0](), torch.rand(3, 1, 28, 28)
    with capture(network, ["fc4.input", "fc3"]) as taken:
        network(images)
    assert torch.equal(taken["fc4.input"], taken["fc3"].relu())


def test_a_linear_model_has_no_stage_and_the_message_says_what_there_is():
    with pytest.raises(ConfigError, match=r"between its input and its classifier.*Its layers: flat, fc\."):
        stages(nn.Sequential(OrderedDict(flat=nn.Flatten(), fc=nn.Linear(3072, 10))), IMAGE)


class Heads(nn.Module):
    """A body and three heads of two layers, or early exits that leave the body at three depths."""

    def __init__(self, early=False):
        super().__init__()
        self.early = early
        self.body = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(3))
        self.heads = nn.ModuleList(nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)) for _ in range(3))

    def forward(self, x):
        inner, said = [], []
        for block, head in zip(self.body, self.heads, strict=True):
            x = block(x)
            inner.append(x)
            if self.early:
                said.append(head(x))
        said = said or [head(x) for head in self.heads]
        return {"early": said[:2], "logits": said[2]} if self.early else tuple(said)


@pytest.mark.parametrize("early", [False, True])
def test_no_stage_is_what_a_head_says(early):
    found = [layer.path for layer in stages(Heads(early), torch.rand(2, 8))]
    assert found[-1] not in ("heads.0", "heads.1", "heads.2")
    assert not early or {"body.0", "body.1", "body.2"} <= set(found)


def test_data_that_a_cell_is_given_step_by_step_is_no_stage():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.GRUCell(6, 8), nn.Linear(8, 4)

        def forward(self, x):
            state = x.new_zeros(len(x), 8)
            for step in range(x.shape[1]):
                state = self.cell(x[:, step], state)
            return self.head(state)

    assert [layer.path for layer in stages(Steps(), torch.rand(2, 5, 6))] == ["head.input"]


def test_where_nothing_is_told_apart_the_last_hidden_layer_is_a_stage():
    class Shared(nn.Module):
        """An activation with a weight, in two places."""

        def __init__(self):
            super().__init__()
            self.one, self.act, self.two = nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 8, 3)
            self.head = nn.Linear(8, 4)

        def forward(self, x):
            return self.head(self.act(self.two(self.act(self.one(x)))).mean((2, 3)))

    assert [layer.path for layer in stages(Shared(), IMAGE)] == ["head.input"]


def test_what_a_mixer_transposes_is_no_stage():
    """Inside its blocks channels stand where tokens do."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.after = nn.LayerNorm(8), nn.LayerNorm(8)
            self.over_tokens = nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 16))
            self.over_channels = nn.Sequential(nn.Linear(8, 24), nn.GELU(), nn.Linear(24, 8))

        def forward(self, x):
            x = x + self.over_tokens(self.norm(x).mT).mT
            return x + self.over_channels(self.after(x))

    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 8, stride=8)
            self.blocks = nn.Sequential(*(Block() for _ in range(4)))
            self.head = nn.Linear(8, 2)

        def forward(self, x):
            return self.head(self.blocks(self.patches(x).flatten(2).mT).mean(1))

    assert [layer.path for layer in stages(Mixer(), IMAGE)] == [f"blocks.{i}" for i in range(4)]
