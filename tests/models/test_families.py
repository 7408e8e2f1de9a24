"""Who makes a network, and what any of them refuses."""

import pytest
from torch import nn

from kantor.core.errors import ConfigError
from kantor.models.families import factory_of, image_shape, is_text, side
from kantor.models.spec import parse

SPEC = parse("resnet8")


@pytest.mark.parametrize(
    ("size", "wanted"), [(None, None), (32, None), ((32, 24), None), (224, 224), ([48, 48], 48), ((8,), 8)]
)
def test_the_side_that_images_are_resized_to(size, wanted):
    shape = (32, 24) if size == (32, 24) else (32, 32)
    assert side(size, shape, SPEC) == wanted


@pytest.mark.parametrize("size", [0, -1, "large", (1, 2, 3), (), 2.5])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ConfigError, match=r"resnet8 is made for images of size .* which is none"):
        side(size, (32, 32), SPEC)
    with pytest.raises(ConfigError, match="kantor resizes images to squares: give data of that size"):
        side((24, 32), (32, 32), SPEC)


def test_samples_that_are_no_images():
    assert image_shape(SPEC, (3, 8, 9)) == (3, 8, 9)
    assert is_text((128, 4000)) and not is_text((128,))
    with pytest.raises(ConfigError, match=r"the samples are \(20,\). Use mlp"):
        image_shape(SPEC, (20,))
    with pytest.raises(ConfigError, match=r"the samples are texts. Use bag, textcnn, or transformers:NAME"):
        image_shape(SPEC, (128, 4000))


def test_a_package_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    def missing(_):
        raise ModuleNotFoundError("No module named 'timm'", name="timm")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ConfigError, match=r"needs timm, which is not installed: pip install 'kantor\[timm\]'"):
        factory_of(parse("timm:resnet18"))(2, (3, 8, 8), {})


def test_a_package_that_is_broken_is_not_said_to_be_missing(monkeypatch):
    def broken(_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(ConfigError, match=r"timm is installed, and importing it fails: .*built for another torch"):
        factory_of(parse("timm:resnet18"))(2, (3, 8, 8), {})


def test_built_ins_are_made_for_the_classes_and_options_given():
    built = factory_of(parse("mlp@hidden=5"))(3, (4,), {"hidden": "5"})
    widths = [m.out_features for m in built.network.modules() if isinstance(m, nn.Linear)]
    assert (built.num_classes, widths[-1]) == (3, 3) and set(widths[:-1]) == {5}
    with pytest.raises(ConfigError, match="say how many classes it has"):
        factory_of(SPEC)(None, (3, 8, 8), {})
    with pytest.raises(ConfigError, match="the samples are texts"):
        factory_of(parse("mlp"))(3, (128, 4000), {})
