import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kantor.capture import capture
from kantor.core.errors import ConfigError, KantorError, ShapeError
from kantor.models import load


def hooks_on(network: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


@pytest.fixture
def images():
    return torch.rand(2, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("resnet8", {"layer1": (2, 16, 32, 32), "layer3.0.bn2": (2, 64, 8, 8), "penultimate": (2, 64)}),
        ("cnn@width=32", {"layer1": (2, 8, 32, 32), "layer3.1": (2, 32, 8, 8), "penultimate": (2, 32)}),
        ("vit", {"blocks.1": (2, 65, 64), "patches": (2, 64, 8, 8), "penultimate": (2, 64)}),
        ("mlp@normalise=none", {"layers.0": (2, 128), "layers.1.0": (2, 128), "penultimate": (2, 128)}),
    ],
)
def test_shapes_by_family(name, paths, images):
    model = load(name, classes=7)
    with capture(model, [*paths, "logits"]) as layers:
        out = model(images)
    assert {path: tuple(layers[path].shape) for path in paths} == paths
    assert torch.equal(layers["logits"], out)
    assert list(layers) == [*paths, "logits"]


def test_penultimate_makes_the_logits(images):
    model = load("resnet8", classes=7).eval()
    with capture(model, ["penultimate", "layer3"]) as layers:
        logits = model(images)
    assert torch.equal(model.network.get_submodule("linear")(layers["penultimate"]), logits)
    torch.testing.assert_close(layers["layer3"].mean(dim=(2, 3)), layers["penultimate"])


def test_gradients_flow_through_what_is_captured(images):
    model = load("resnet8", classes=3)
    with capture(model, ["layer1"]) as layers:
        model(images)
    layers["layer1"].square().mean().backward()
    assert model.network.get_parameter("conv1.weight").grad.abs().sum() > 0
    assert model.network.get_parameter("layer2.0.conv1.weight").grad is None


def test_each_forward_replaces_the_last(images):
    model = load("cnn", classes=3).eval()
    with capture(model, ["layer2"]) as layers:
        model(images)
        first = layers["layer2"]
        model(images[:1])
        assert layers["layer2"].shape[0] == 1
    torch.testing.assert_close(first[:1], layers["layer2"])


def test_no_hook_stays_behind(images):
    model = load("resnet8", classes=3)
    with capture(model, ["layer1", "penultimate", "logits"]):
        assert hooks_on(model) > 0
        model(images)
    assert hooks_on(model) == 0


@pytest.mark.parametrize("where", ["in the body", "in the forward", "in the paths"])
def test_no_hook_stays_behind_after_an_error(where, images):
    model = load("resnet8", classes=3)
    paths = ["layer1", "penultimate", *(["layer9"] if where == "in the paths" else [])]
    with pytest.raises((ValueError, RuntimeError, ConfigError)), capture(model, paths):
        if where == "in the body":
            raise ValueError
        model.network(images[:, :1])
    assert hooks_on(model) == 0


def test_captures_nest(images):
    model = load("resnet8", classes=3).eval()
    with capture(model, ["layer1"]) as outer:
        with capture(model, ["layer1"]) as inner:
            model(images)
        model(images[:1])
    assert inner["layer1"].shape[0] == 2
    assert outer["layer1"].shape[0] == 1


class InPlace(nn.Module):
    """Overwrites its layers' outputs in the ways that networks in use do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x)
        y = self.bn(x)
        y += x
        return self.fc(self.relu(y).mean(dim=(2, 3)))


def test_in_place_operations_do_not_reach_what_was_captured(images):
    network = InPlace().eval()
    with capture(network, ["conv", "bn", "relu"]) as layers:
        network(images)
    conv = network.conv(images)
    torch.testing.assert_close(layers["conv"], conv)
    torch.testing.assert_close(layers["bn"], network.bn(conv))
    torch.testing.assert_close(layers["relu"], F.relu(network.bn(conv) + conv))
    assert layers["bn"].min() < 0
    (layers["bn"].sum() + layers["relu"].sum()).backward()
    assert network.conv.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("path", "close"), [("layer4", "layer3"), ("layer1.0.con1", "layer1.0.conv1"), ("logit", "logits"), ("", "layer1")]
)
def test_an_unknown_path_says_what_is_close(path, close):
    with pytest.raises(ConfigError, match=f"no layer '{path}'.*{close}"), capture(load("resnet8", classes=3), [path]):
        pass


def test_a_path_that_is_not_captured_or_did_not_run(images):
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Flatten(), nn.Linear(3, 3)

        def forward(self, x):
            return self.used(x)

    network = Skips()
    with capture(network, ["used", "unused"]) as layers:
        with pytest.raises(KantorError, match="'used' did not run"):
            layers["used"]
        network(images)
    assert layers["used"].shape == (2, 3072)
    with pytest.raises(KantorError, match="'unused' did not run"):
        layers["unused"]
    with pytest.raises(ConfigError, match=r"not being captured\..*unused"):
        layers["unusd"]


def test_a_network_without_linear_classifier_has_no_penultimate(images):
    network = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with capture(network, ["penultimate"]), pytest.raises(ConfigError, match="penultimate"):
        network(images)


def test_outputs_with_several_tensors(images):
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.lookup = nn.Identity()
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            tokens, weights = self.attention(x, x, x)
            return {"logits": self.head(tokens[:, 0]), "weights": self.lookup({"a": tokens, "b": weights})}

    network, x = Attends(), torch.randn(2, 5, 8)
    with capture(network, ["attention", "logits", "penultimate"]) as layers:
        network(x)
    assert [tuple(layers[p].shape) for p in layers] == [(2, 5, 8), (2, 3), (2, 8)]
    with capture(network, ["lookup"]), pytest.raises(ShapeError, match="'lookup' returns 2 tensors"):
        network(x)


def test_a_layout_can_be_given(images):
    network = nn.Sequential(nn.Conv2d(3, 32, 1), nn.Identity())
    with capture(network, ["1"], layouts={"1": "channels_last"}) as layers:
        out = network(images)
    assert torch.equal(layers["1"], out.permute(0, 3, 1, 2))
    with (
        pytest.raises(ConfigError, match="layout is given for '2'"),
        capture(network, ["1"], layouts={"2": "channels_last"}),
    ):
        pass
