"""Lists of teachers."""

import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.faculty.label_cost import CostSource
from kantor.faculty.roster import read_classes, roster, spec_of, teacher_names
from kantor.models import has_weights


def test_names():
    specs = [
        "resnet20:a.safetensors",
        "resnet20@size=64:b.safetensors",
        "timm:vit_x@pretrained=true",
        "x/good.safetensors",
    ]
    assert teacher_names(specs) == ["resnet20-1", "resnet20-2", "vit_x", "good"]
    assert teacher_names(["runs/a/kd/seed-0/student.safetensors", "runs/b/kd/seed-0/student.safetensors"]) == [
        "a-kd-seed-0",
        "b-kd-seed-0",
    ]
    assert [entry.name for entry in roster("resnet20:a.pt, cnn:b.pt")] == ["resnet20", "cnn"]


def test_weights():
    assert has_weights("resnet20:a.pt")
    assert has_weights("timm:vit_x@pretrained=true")
    assert not has_weights("cnn@width=32")


def test_yaml(tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    (tmp_path / "run" / "kd" / "seed-0").mkdir(parents=True)
    (tmp_path / "run" / "kd" / "seed-0" / "student.safetensors").touch()
    (tmp_path / "w.safetensors").touch()
    (tmp_path / "t.yaml").write_text(
        "- {name: one, model: resnet20, weights: w.safetensors, classes: labels.txt, preprocess: {normalise: cifar}}\n"
        "- {model: run/kd/seed-0, data: digits}\n"
        "- {model: 'cnn:w.safetensors', classes: [a, b]}\n"
    )
    one, run, cnn = roster(str(tmp_path / "t.yaml"))
    assert (one.spec, one.classes) == (f"resnet20@normalise=cifar:{tmp_path}/w.safetensors", ["cat", "dog"])
    assert run.spec == f"{tmp_path}/run/kd/seed-0/student.safetensors"
    assert run.data == "digits"
    assert (cnn.name, cnn.spec, cnn.classes) == ("cnn", f"cnn:{tmp_path}/w.safetensors", ["a", "b"])


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("- {name: a}", ConfigError, "has no model"),
        ("- {model: cnn, weight: x}", ConfigError, "weights"),
        ("{model: cnn}", DataError, "list of teachers"),
        ("- {name: a, model: 'cnn:x.pt'}\n- {name: a, model: 'cnn:y.pt'}", ConfigError, "called 'a'"),
        ("- {model: 'cnn:x.pt', classes: no.txt}", DataError, "no.txt"),
        ("[]", ConfigError, "no teacher"),
        (": [", DataError, "YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, error, said):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(error, match=said):
        roster(str(tmp_path / "t.yaml"))


def test_a_trained_students_folder_is_a_model_of_class_centres(tmp_path):
    with pytest.raises(ConfigError, match="holds no trained student"):
        CostSource.parse(f"centres:{tmp_path}")
    (tmp_path / "student.safetensors").touch()
    assert CostSource.parse(f"centres:{tmp_path}").argument == str(tmp_path / "student.safetensors")


def test_a_folder_of_a_built_ins_name_is_not_taken_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnet8").mkdir()
    assert spec_of("resnet8") == "resnet8"


def test_class_names_that_are_no_text_are_named(tmp_path):
    (tmp_path / "classes.txt").write_bytes("käfer\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"classes\.txt is not text in UTF-8"):
        read_classes(str(tmp_path / "classes.txt"))


def test_weights_that_a_list_looks_for_in_its_own_folder(tmp_path):
    (tmp_path / "t.yaml").write_text("- model: nowhere.safetensors\n")
    with pytest.raises(ConfigError, match=rf"no file {tmp_path / 'nowhere.safetensors'}. Paths in a list begin"):
        roster(str(tmp_path / "t.yaml"))
