import copy

import pytest
import torch

from kantor.core.errors import KantorError, ShapeError
from kantor.models import Model, Normalise, load

FAMILIES = [
    ("resnet8@width=0.5", (3, 32, 32)),
    ("cnn@width=16", (1, 8, 8)),
    ("vit@depth=1", (3, 16, 16)),
    ("mlp", (9,)),
]


def make(name, shape):
    model = load(name, classes=["a", "b", "c"], input_shape=shape).eval()
    if model.needs_fit:
        model.fit_normaliser(5 * torch.randn(50, *shape) + 2)
    return model


@pytest.mark.parametrize(("name", "shape"), FAMILIES)
def test_a_saved_model_is_the_same_model(tmp_path, name, shape):
    model, x = make(name, shape), torch.rand(4, *shape)
    model.save(tmp_path / "w.safetensors")
    # The file knows its options, input and classes; with or without its name.
    for text in (f"{name.partition('@')[0]}:{tmp_path / 'w.safetensors'}", str(tmp_path / "w.safetensors")):
        found = load(text).eval()
        assert torch.equal(found(x), model(x))
        assert found.facts() == model.facts()
        assert found.class_names == ["a", "b", "c"]
        assert found.weights_digest() == model.weights_digest()


def test_the_same_model_gives_the_same_bytes(tmp_path):
    model = make("cnn", (1, 8, 8))
    for i in range(4):
        model.save(tmp_path / f"{i}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_the_name_overrides_the_file(tmp_path):
    load("resnet8@normalise=cifar@size=16", classes=2).save(tmp_path / "w.safetensors")
    assert load(f"resnet8:{tmp_path / 'w.safetensors'}").normalise.mode == "cifar"
    assert load(f"resnet8:{tmp_path / 'w.safetensors'}").size == 16
    other = load(f"resnet8@normalise=none@size=none:{tmp_path / 'w.safetensors'}")
    assert (other.normalise.mode, other.size) == ("none", None)


def test_the_digest_sees_every_bit_and_the_preprocessing():
    model = make("cnn", (3, 8, 8))
    digest = model.weights_digest()
    assert digest == copy.deepcopy(model).weights_digest()
    flipped = copy.deepcopy(model)
    with torch.no_grad():
        flipped.network.get_parameter("linear.weight").view(-1).view(torch.int32)[7] ^= 1
    statistics = copy.deepcopy(model)
    statistics.network.get_buffer("layer1.1.running_mean")[0] += 1e-6
    others = [flipped, statistics]
    for change in ({"normalise": Normalise("cifar")}, {"size": 16}):
        other = copy.deepcopy(model)
        for key, value in change.items():
            setattr(other, key, value)
        others.append(other)
    assert len({digest, *(other.weights_digest() for other in others)}) == 5


def test_the_digest_sees_what_a_network_is_made_by_beside_its_weights():
    def made(**recipe) -> Model:
        return Model(torch.nn.Identity(), name="text", num_classes=2, input_shape=(3,), recipe=recipe or None)

    digests = [made(hidden_act=act, _name_or_path=path).weights_digest() for act in ("gelu", "relu") for path in "ab"]
    assert digests[0] == digests[1]
    assert digests[2] == digests[3]
    assert len({made().weights_digest(), *digests}) == 3


def test_the_digest_takes_any_type_of_number():
    network = torch.nn.Linear(3, 2).bfloat16()
    network.register_buffer("step", torch.tensor(3))
    model = Model(network, name="half", num_classes=2, input_shape=(3,))
    digest = model.weights_digest()
    network.get_buffer("step").add_(1)
    assert model.weights_digest() != digest


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "w.safetensors"
    model = make("cnn", (1, 8, 8))
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(KantorError, match="Could not write"):
        model.save(path / "below" / "a file")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_samples_of_another_shape():
    model = load("resnet8", classes=3)
    for shape in ((2, 1, 32, 32), (2, 3), (3, 32, 32)):
        with pytest.raises(ShapeError, match=r"resnet8 was built for samples of shape \(3, 32, 32\)"):
            model(torch.rand(shape))


def test_images_are_resized_before_the_network():
    model = load("vit@size=16", classes=3, input_shape=(3, 16, 16))
    assert model(torch.rand(2, 3, 40, 24)).shape == (2, 3)
    seen = []
    model.network.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    model(torch.rand(2, 3, 16, 16))
    model(torch.rand(2, 3, 9, 9))
    assert seen == [(2, 3, 16, 16)] * 2


@pytest.mark.parametrize(("name", "shape"), [*FAMILIES, ("resnet8@size=20", (3, 32, 32))])
def test_a_model_exports_with_any_batch_size(name, shape):
    model = make(name, shape)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (torch.rand(2, *shape),), dynamic_shapes={"x": {0: batch}})
    x = torch.rand(5, *shape)
    torch.testing.assert_close(exported.module()(x), model(x))


def test_the_state_dict_is_the_networks_alone():
    model = make("mlp", (9,))
    assert set(model.state_dict()) == {f"network.{key}" for key in model.network.state_dict()}
