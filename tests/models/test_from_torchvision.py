"""Networks by torchvision, where it is installed; nothing is fetched."""

import pytest
import torch

from kantor.capture import capture, stages
from kantor.core.errors import ConfigError
from kantor.models import load

IMAGES = torch.rand(2, 3, 32, 32)


@pytest.fixture
def torchvision(torchvision_operators):
    return pytest.importorskip("torchvision")


def test_torchvision(torchvision):
    model = load("torchvision:resnet18", classes=3).eval()
    assert [layer.path for layer in stages(model, IMAGES)] == ["layer1", "layer2", "layer3", "layer4"]
    with capture(model, ["layer1.0.bn2", "penultimate"]) as layers:
        assert model(IMAGES).shape == (2, 3)
    assert layers["layer1.0.bn2"].min() < 0
    assert layers["penultimate"].shape == (2, 512)
    grey = load("torchvision:resnet18", classes=3, input_shape=(1, 32, 32))
    assert grey(IMAGES[:, :1]).shape == (2, 3)


def test_torchvision_pretrained_weights_keep_all_but_another_classifier(torchvision, monkeypatch):
    source = torchvision.models.resnet18().state_dict()
    given = {}

    def get_state_dict(self, **kwargs):
        given.update(kwargs)
        return source

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", get_state_dict)
    whole = load("torchvision:resnet18@pretrained=true")
    assert given["weights_only"]
    assert whole.size == 224
    assert whole.class_names[0] == "tench"
    assert torch.equal(whole.network.get_parameter("fc.weight"), source["fc.weight"])
    other = load("torchvision:resnet18@pretrained=true@size=none", classes=3)
    assert other.size is None
    assert other.class_names is None
    assert torch.equal(other.network.get_parameter("layer4.1.conv2.weight"), source["layer4.1.conv2.weight"])


def test_what_cannot_take_the_data_s_size_gets_images_of_its_own(torchvision):
    made = load("torchvision:inception_v3@init_weights=False", classes=3, input_shape=(3, 32, 40))
    assert made.size == 299
    assert made.eval()(torch.rand(1, 3, 32, 40)).shape == (1, 3)
    assert load("torchvision:squeezenet1_1", classes=3, input_shape=(3, 32, 40)).size is None


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("torchvision:resnet81", (3, 32, 32), "no classifier 'resnet81'. Close to it: resnet"),
        ("torchvision:fcn_resnet50", (3, 32, 32), "no classifier 'fcn_resnet50'"),
        ("torchvision:resnet18", (4, 32, 32), "3 channels"),
        ("torchvision:resnet18@no_such_option=3", (3, 32, 32), "could not make"),
    ],
)
def test_torchvision_names_that_are_wrong(torchvision, spec, shape, message):
    with pytest.raises(ConfigError, match=message):
        load(spec, classes=2, input_shape=shape)
