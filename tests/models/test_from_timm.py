"""Networks by timm, where it is installed; nothing is fetched."""

import pytest
import torch

from kantor.capture import capture, pair, stages
from kantor.core.errors import ConfigError
from kantor.models import load

IMAGES = torch.rand(2, 3, 32, 32)


@pytest.fixture
def timm(torchvision_operators):
    return pytest.importorskip("timm")


def test_timm_resnet_teaches_a_vit(timm):
    teacher = load("timm:resnet18", classes=5).eval()
    student = load("vit", classes=5)
    assert teacher.normalise.mode == "imagenet"
    found = stages(teacher, IMAGES)
    assert [layer.path for layer in found] == ["layer1", "layer2", "layer3", "layer4"]
    last = pair(stages(student, IMAGES), found)[-1]
    assert (last.student, last.teacher) == ("blocks.3", "layer4")
    with capture(teacher, [last.teacher, "penultimate", "layer1.0.bn1"]) as layers:
        logits = teacher(IMAGES)
    assert logits.shape == (2, 5)
    # 32 pixels leave one cell at the end, and it is still the last stage.
    assert layers["layer4"].shape == (2, 512, 1, 1)
    assert torch.equal(teacher.network.get_submodule("fc")(layers["penultimate"]), logits)
    # timm clips it in place; what was captured keeps its negative numbers.
    assert layers["layer1.0.bn1"].min() < 0


def test_timm_other_families(timm):
    vit = load("timm:vit_tiny_patch16_224@depth=2", classes=3, input_shape=(1, 32, 32))
    assert vit.size == 224
    assert vit(IMAGES[:, :1]).shape == (2, 3)
    small = load("timm:vit_tiny_patch16_224@img_size=32@depth=2", classes=3)
    assert small.size is None
    assert [layer.path for layer in stages(small, IMAGES)] == ["blocks.0", "blocks.1"]
    swin = load("timm:swin_tiny_patch4_window7_224@img_size=64@depths=(1,1,1,1)", classes=3, input_shape=(3, 64, 64))
    # Its maps are channel-last inside; here they are channel-first.
    assert stages(swin, torch.rand(1, 3, 64, 64))[0].shape == (96, 16, 16)


def test_timm_round_trip(timm, tmp_path):
    model = load("timm:resnet18", classes=["a", "b"]).eval()
    model.save(tmp_path / "w.safetensors")
    found = load(f"timm:resnet18:{tmp_path / 'w.safetensors'}").eval()
    assert torch.equal(found(IMAGES), model(IMAGES))
    assert found.class_names == ["a", "b"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("timm:resnet81", "timm has no model 'resnet81'. Close to it: resnet"),
        ("timm:resnet18.a1_in2k", "no weights 'resnet18.a1_in2k'. Close to it: resnet18.a1_in1k"),
        ("timm:resnet18@no_such_option=3", "could not make timm:resnet18@no_such_option=3"),
    ],
)
def test_timm_names_that_are_wrong(timm, spec, message):
    with pytest.raises(ConfigError, match=message):
        load(spec, classes=2)
