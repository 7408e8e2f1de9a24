from pathlib import Path

import pytest

from kantor.core.errors import ConfigError
from kantor.models.spec import Spec, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet8", Spec("builtin", "resnet8")),
        ("cnn@width=128@normalise=none", Spec("builtin", "cnn", {"width": "128", "normalise": "none"})),
        ("resnet56:a/b.safetensors", Spec("builtin", "resnet56", {}, Path("a/b.safetensors"))),
        ("resnet8@width=2:/odd@name:x.pt", Spec("builtin", "resnet8", {"width": "2"}, Path("/odd@name:x.pt"))),
        ("timm:resnet18.a1_in1k", Spec("timm", "resnet18.a1_in1k")),
        ("torchvision:resnet18@pretrained=true", Spec("torchvision", "resnet18", {"pretrained": "true"})),
        ("transformers:microsoft/resnet-18:w.pt", Spec("transformers", "microsoft/resnet-18", {}, Path("w.pt"))),
        ("transformers:C:\\models\\bert", Spec("transformers", "C:\\models\\bert")),
        ("transformers:D:/bert:E:/w.pt", Spec("transformers", "D:/bert", {}, Path("E:/w.pt"))),
        ("timm:resnet18:C:\\w.pt", Spec("timm", "resnet18", {}, Path("C:\\w.pt"))),
        ("my.nets:make@at=C:\\w:D:\\x.pt", Spec("python", "my.nets:make", {"at": "C:\\w"}, Path("D:\\x.pt"))),
        ("my.package:make@depth=3:w.pth", Spec("python", "my.package:make", {"depth": "3"}, Path("w.pth"))),
    ],
)  # fmt: skip
def test_parts_of_a_name(text, expected):
    spec = parse(text)
    assert spec == expected
    # The architecture is the name without the weights, and can be written again.
    assert parse(spec.architecture) == Spec(expected.family, expected.name, expected.options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet9", "no model 'resnet9'.*Close to it: .*resnet8"),
        ("resnet65:dir/w.safetensors", "no model 'resnet65'.*resnet56"),
        ("", "no model ''"),
        ("cnn@width", "'@width' in 'cnn@width' is no option"),
        ("cnn@=3", "'@=3'"),
        ("timm:", "names no model after 'timm:'"),
    ],
)
def test_what_is_no_name(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text)


def test_a_path_where_no_model_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "source" / "none" / "seed-0").mkdir(parents=True)
    for text, message in (
        ("runs/sorce/none", "no file or folder runs/sorce/none: in runs is no sorce. Close to it: source"),
        ("runs/source/none/seed-9", "in runs/source/none is no seed-9. Close to it: seed-0"),
        ("w.safetensors", "no file or folder w.safetensors: here is no w.safetensors"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse(text)
    (tmp_path / "w.pt").touch()
    for text, message in (
        ("/nowhere/x.pt", "no file or folder /nowhere/x.pt: in / is no nowhere"),
        ("w.pt/x.pt", "nothing at w.pt/x.pt: w.pt is a file"),
        ("runs/source", "runs/source is a folder, and no trained student's"),
        ("facebook/dinov2-small", "no model 'facebook/dinov2-small'.*transformers:NAME"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse(text)
    with pytest.raises(ConfigError, match=r"w\.pt does not say what network it is for: write NAME:w\.pt"):
        parse("w.pt")
