import pytest

from kantor.core.errors import ConfigError
from kantor.models.pretrained import has_weights, in_gguf, need_weights, stands_for_weights, without_weights
from kantor.models.spec import parse


@pytest.mark.parametrize(
    ("spec", "has"),
    [
        ("cnn@width=32", False),
        ("cnn:a.pt", True),
        ("a/student.safetensors", True),
        ("timm:resnet18", False),
        ("timm:resnet18.a1_in1k", True),
        ("timm:resnet18.a1_in1k@pretrained=false", False),
        ("timm:resnet18@pretrained=true", True),
        ("torchvision:resnet18", False),
        ("torchvision:resnet18@pretrained=true", True),
        ("transformers:google/vit-base-patch16-224", True),
        ("transformers:google/vit-base-patch16-224@pretrained=false", False),
        ("my_nets:make", False),
        ("my_nets:make:a.pt", True),
    ],
)
def test_a_name_that_stands_for_weights(spec, has):
    assert has_weights(spec) is has


def test_a_folder_stands_for_the_weights_in_it(tmp_path):
    spec = parse(f"transformers:{tmp_path}")
    (tmp_path / "config.json").write_text("{}")
    assert not stands_for_weights(spec)
    (tmp_path / "model.safetensors").touch()
    assert stands_for_weights(spec)


def test_the_name_afresh():
    assert without_weights(parse("timm:resnet18.a1_in1k@pretrained=true")) == "timm:resnet18.a1_in1k@pretrained=false"
    assert without_weights(parse("timm:resnet18@pretrained=true")) == "timm:resnet18"
    assert without_weights(parse("cnn@width=8:a.pt")) == "cnn@width=8"


def test_a_network_that_learnt_nothing():
    need_weights("timm:resnet18.a1_in1k")
    with pytest.raises(ConfigError, match=r"timm:resnet18 names no weights.*or timm:resnet18@pretrained=true"):
        need_weights("timm:resnet18")
    with pytest.raises(ConfigError, match=r"Write cnn:FILE; a network"):
        need_weights("cnn")


def test_a_gguf_file_that_is_not_there_and_a_reader_that_is_not_installed(tmp_path, monkeypatch):
    file = tmp_path / "small.Q4.gguf"
    with pytest.raises(ConfigError, match=r"no file .*small\.Q4\.gguf"):
        in_gguf(str(file))
    file.write_bytes(b"")
    monkeypatch.setattr("kantor.models.pretrained.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install gguf"):
        in_gguf(str(file))
    monkeypatch.setattr("kantor.models.pretrained.find_spec", lambda name: name)
    assert in_gguf(str(file)) == (str(tmp_path), {"gguf_file": "small.Q4.gguf"})
    assert in_gguf("org/name") == ("org/name", {})
