import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.models import load
from kantor.models.weights import write_weights

OWN = """
from torch import nn

def make(num_classes=3, *, hidden: int = 4):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))

def shaped(num_classes, input_shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], num_classes))

def asking(classes):
    return nn.Linear(4, classes)

def wrong():
    return 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_models", None)


@pytest.mark.parametrize("name", ["resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "cnn", "vit"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8)])
def test_every_built_in_on_colour_and_digits(name, shape):
    model = load(name, classes=5, input_shape=shape)
    assert model(torch.rand(2, *shape)).shape == (2, 5)
    assert (model.name, model.spec, model.num_classes, model.input_shape) == (name, name, 5, shape)
    assert model.normalise.mode == ("imagenet" if name.startswith("resnet") and shape[0] == 3 else "none")


def test_class_names():
    assert load("cnn", classes=["cat", "dog"]).class_names == ["cat", "dog"]
    assert load("cnn", classes=2).class_names is None


def test_vectors_are_standardised_unless_told_otherwise():
    model = load("mlp", classes=3, input_shape=(6,))
    assert model.needs_fit
    model.fit_normaliser(torch.randn(20, 6))
    assert model(torch.randn(2, 6)).shape == (2, 3)
    assert not load("mlp@normalise=none", classes=3, input_shape=(6,)).needs_fit


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        ("resnet8", {}, "say how many classes"),
        ("resnet8", {"classes": 0}, "at least one class"),
        ("resnet8", {"classes": 3, "input_shape": (6,)}, "reads images.*Use mlp"),
        ("mlp", {"classes": 3, "input_shape": (-1,)}, r"input_shape is of one sample.*not \(-1,\)"),
        ("mlp", {"classes": 3, "input_shape": (4, 0)}, r"input_shape is of one sample.*not \(4, 0\)"),
        ("mlp", {"classes": 3, "input_shape": (2.5,)}, r"input_shape is of one sample.*not \(2.5,\)"),
        ("resnet8@widht=2", {"classes": 3}, "no option 'widht'.*width"),
        ("cnn@width=wide", {"classes": 3}, "must be int"),
        ("cnn@normalise=imagnet", {"classes": 3}, "imagenet"),
        ("cnn@size=big", {"classes": 3}, "cnn@size=big: the value must be int"),
        ("no_such_package.models:make", {"classes": 3}, "no module 'no_such_package.models'"),
        ("resnt8:make", {"classes": 3}, "no module 'resnt8'.*resnet8"),
    ],
)
def test_wrong_names_and_settings(spec, arguments, message):
    with pytest.raises(ConfigError, match=message):
        load(spec, **arguments)


def test_a_factory_of_ones_own(own, tmp_path):
    x = torch.rand(2, 3, 2, 2)
    model = load("own_models:make@hidden=7", classes=5, input_shape=(3, 2, 2))
    assert model(x).shape == (2, 5)
    assert model.network[1].out_features == 7
    assert load("own_models:make").num_classes == 3
    assert load("own_models:shaped", classes=["a", "b"], input_shape=(3, 2, 2))(x).shape == (2, 2)
    model.save(tmp_path / "w.safetensors")
    found = load(f"own_models:make:{tmp_path / 'w.safetensors'}")
    assert torch.equal(found(x), model(x))
    save_file(model.network.state_dict(), tmp_path / "plain.safetensors")
    assert load(f"own_models:make@hidden=7:{tmp_path / 'plain.safetensors'}").num_classes == 5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("own_models:mak", "no factory 'mak'. Close to it: make"),
        ("own_models:wrong", "returned int"),
        ("own_models:make@hiden=2", "no option 'hiden'"),
        ("own_models:asking", "must be given classes. A factory is given num_classes.*own_models:asking@classes=VALUE"),
    ],
)
def test_a_wrong_factory(own, spec, message):
    with pytest.raises(ConfigError, match=message):
        load(spec, classes=2)


def test_an_error_inside_ones_own_module_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_models.py").write_text("import a_module_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        load("broken_models:make", classes=2)


def test_a_file_alone_may_not_choose_what_is_imported(tmp_path, own):
    path = tmp_path / "w.safetensors"
    write_weights(path, {"x": torch.zeros(1)}, {"spec": "own_models:make"})
    trust.forget()
    with pytest.raises(ConfigError, match="names code to be imported, own_models:make"):
        load(str(path))
    assert "own_models" not in sys.modules
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match=r"does not say what network it is for\. Write NAME:"):
        load(str(path))


@pytest.mark.parametrize("family", ["timm", "torchvision", "transformers"])
def test_a_missing_package_names_its_extra(family, monkeypatch):
    monkeypatch.delitem(sys.modules, f"kantor.models.from_{family}", raising=False)
    monkeypatch.setitem(sys.modules, family, None)
    with pytest.raises(ConfigError, match=rf"pip install 'kantor\[{family}\]'"):
        load(f"{family}:resnet18", classes=2)


@pytest.mark.parametrize("family", ["timm", "torchvision"])
def test_a_broken_package_is_not_a_missing_one(family, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, f"kantor.models.from_{family}", raising=False)
    monkeypatch.delitem(sys.modules, family, raising=False)
    (tmp_path / f"{family}.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="installed, and importing it fails: operator torchvision::nms") as caught:
        load(f"{family}:resnet18", classes=2)
    assert "--index-url https://download.pytorch.org/whl/cpu" in str(caught.value)
    assert "kantor[" not in str(caught.value)


def test_a_package_whose_own_need_is_missing(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "kantor.models.from_timm", raising=False)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    (tmp_path / "timm.py").write_text("import a_need_of_timms\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="needs a_need_of_timms, which is not installed"):
        load("timm:resnet18", classes=2)


def test_transformers_does_without_a_torchvision_that_is_broken(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    code = (
        "import kantor.models.from_transformers as f, sys; from transformers import ViTConfig;"
        "assert 'torchvision' not in sys.modules;"
        "f.AutoModelForImageClassification.from_config(ViTConfig(hidden_size=8, num_hidden_layers=1,"
        "num_attention_heads=1, intermediate_size=8, image_size=8, patch_size=4))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})


def test_optional_packages_are_imported_only_when_asked_for():
    code = (
        "import sys; from kantor.models import load; load('resnet8', classes=2);"
        "assert not {'timm', 'torchvision', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_the_pretrained_cifar_networks_load(shared_data, depth):
    model = load(f"resnet{depth}:{shared_data / 'cifar10_resnets' / f'resnet{depth}.safetensors'}").eval()
    assert model.num_classes == 10
    assert model.normalise.mode == "imagenet"


def test_a_pretrained_cifar_network_knows_its_images(shared_data):
    parquet = pytest.importorskip("pyarrow.parquet")
    from io import BytesIO

    import numpy as np
    from PIL import Image

    rows = next(parquet.ParquetFile(shared_data / "cifar10" / "test.parquet").iter_batches(500)).to_pylist()
    pixels = np.stack([np.asarray(Image.open(BytesIO(row["image"]["bytes"])).convert("RGB")) for row in rows])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    model = load(f"resnet20:{shared_data / 'cifar10_resnets' / 'resnet20.safetensors'}").eval()
    with torch.no_grad():
        right = model(images).argmax(dim=1) == torch.tensor([row["label"] for row in rows])
    # 91.7 % on all 10,000; on 500 of them the standard error is 1.2.
    assert right.double().mean() > 0.88


def test_a_missing_file():
    with pytest.raises(DataError, match=r"no weights file nowhere\.safetensors"):
        load("resnet8:nowhere.safetensors")


def test_a_last_linear_that_is_no_classifier_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "aux_models.py").write_text(
        "from torch import nn\n\nclass Net(nn.Module):\n"
        "    def __init__(self, num_classes):\n        super().__init__()\n"
        "        self.head, self.aux = nn.Linear(6, num_classes), nn.Linear(6, 7)\n\n    def forward(self, x):\n"
        "        return self.head(x.flatten(1))\n\ndef make(num_classes=3):\n    return Net(num_classes)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "own.safetensors"
    load("aux_models:make", classes=["a", "b", "c"], input_shape=(6,)).save(file)
    assert load(f"aux_models:make:{file}", classes=["a", "b", "c"], input_shape=(6,)).class_names == ["a", "b", "c"]


def test_names_for_another_number_of_classes(tmp_path):
    save_file(
        load("cnn@width=4", classes=10, input_shape=(1, 8, 8)).network.state_dict(), tmp_path / "bare.safetensors"
    )
    with pytest.raises(
        ConfigError, match=r"bare\.safetensors holds a model for 10 classes, and 3 are named \(a, b, c\)"
    ):
        load(f"cnn@width=4:{tmp_path / 'bare.safetensors'}", classes=["a", "b", "c"], input_shape=(1, 8, 8))


COUNTED = """
import torch
from torch import nn

class Mapped(nn.Module):
    '''Its classifier is a convolution, and its last linear layer is not for the classes.'''

    def __init__(self, num_classes):
        super().__init__()
        self.body, self.head, self.aux = nn.Conv2d(3, 4, 3), nn.Conv2d(4, num_classes, 1), nn.Linear(4, 7)

    def forward(self, x):
        return self.head(self.body(x)).mean((2, 3))

class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 6, 1)

    def forward(self, x):
        return self.head(x).mean((2, 3))

def perceptron(num_classes, input_shape):
    return nn.Sequential(nn.Linear(input_shape[0], 5), nn.ReLU(), nn.Linear(5, num_classes))
"""


@pytest.fixture
def counted(tmp_path, monkeypatch):
    (tmp_path / "counted_models.py").write_text(COUNTED)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("counted_models", None)


def test_a_factory_that_must_be_told_its_classes_learns_them_from_bare_weights(counted, tmp_path):
    file = tmp_path / "bare.safetensors"
    for name, shape in (("Mapped", (3, 8, 8)), ("perceptron", (6,))):
        network = load(f"counted_models:{name}", classes=9, input_shape=shape).network
        save_file(network.state_dict(), file)
        assert load(f"counted_models:{name}:{file}", input_shape=shape).num_classes == 9
        # What the message of old asked for.
        assert load(f"counted_models:{name}@num_classes=9:{file}", input_shape=shape).num_classes == 9
    with pytest.raises(ConfigError, match="holds a model for 9 classes; 4 are asked for"):
        load("counted_models:Mapped@num_classes=9", classes=4)


def test_classes_of_a_network_without_a_linear_layer_are_counted(counted):
    assert load("counted_models:Fixed", input_shape=(3, 8, 8)).num_classes == 6
    with pytest.raises(ConfigError, match=r"Fixed has no nn.Linear .* shape \(5,\)"):
        load("counted_models:Fixed", input_shape=(5,))


def test_strange_weights_get_vectors_as_they_are(counted, tmp_path):
    """Nothing is fitted to the data in front of a network whose weights came from elsewhere."""
    new = load("counted_models:perceptron", classes=3, input_shape=(6,))
    assert new.needs_fit
    save_file(new.network.state_dict(), tmp_path / "bare.safetensors")
    found = load(f"counted_models:perceptron:{tmp_path / 'bare.safetensors'}", input_shape=(6,))
    assert found.normalise.mode == "none"
    mlp = load("mlp", classes=3, input_shape=(6,))
    save_file(mlp.network.state_dict(), tmp_path / "mlp.safetensors")
    assert load(f"mlp:{tmp_path / 'mlp.safetensors'}", input_shape=(6,)).normalise.mode == "none"
    asked = load(f"mlp@normalise=standard:{tmp_path / 'mlp.safetensors'}", input_shape=(6,))
    assert asked.needs_fit


def test_a_module_of_ones_own_called_resnet_gets_its_images_as_they_are(tmp_path, monkeypatch):
    (tmp_path / "resnet_of_mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    assert load("resnet_of_mine:shaped", classes=2, input_shape=(3, 4, 4)).normalise.mode == "none"


def test_the_folder_of_a_trained_student_is_a_model(tmp_path):
    folder = tmp_path / "run" / "kd" / "seed-0"
    folder.mkdir(parents=True)
    student = load("mlp@normalise=none", classes=3, input_shape=(4,))
    student.save(folder / "student.safetensors")
    again = load(str(folder))
    assert again.spec == student.spec
    assert torch.equal(again(torch.ones(2, 4)), student(torch.ones(2, 4)))
