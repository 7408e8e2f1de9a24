"""The export command: each format where it may be, of students of anybody's make."""

import pytest
import torch
from torch import nn

import kantor
import small
from kantor.cli import main
from kantor.core.errors import ConfigError
from kantor.models import load
from kantor.study import run_study
from kantor.study.afterwards.export.command import How, export_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("export")
    run_study(small.settings(place, seeds=1), small.console())
    return place / "runs" / "run"


def test_an_onnx_program_lies_beside_the_student_and_was_tried_on_its_runs_test_part(run, capsys):
    pytest.importorskip("onnxruntime")
    assert main(["export", str(run / "none" / "seed-0"), "--format=onnx"]) == 0
    said = capsys.readouterr().out
    assert "on 20 samples of the test part" in said and (run / "none" / "seed-0" / "student.onnx").exists()


def test_where_the_runs_data_are_gone_it_is_tried_on_random_samples_and_that_is_said(run, capsys, tmp_path):
    pytest.importorskip("onnxruntime")
    data = run.parents[1] / "vectors.npz"
    data.rename(tmp_path / "away.npz")
    try:
        assert main(["export", str(run / "none" / "seed-0"), "--format=onnx", f"--output={tmp_path / 'a.onnx'}"]) == 0
    finally:
        (tmp_path / "away.npz").rename(data)
    assert "on 16 random samples (the run's data cannot be opened here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "how", "message"),
    [
        ("safetensors", How(bare=True), "bare is for --format torch.export and onnx, and the format is safetensors"),
        ("onnx", How(licence="mit"), "license is for --format hub"),
        ("hub", How(int8=True), "int8 is for --format onnx, and the format is hub"),
        ("pickle", None, "There is no format 'pickle': it is safetensors, torch.export, onnx, hub"),
    ],
)
def test_what_a_format_does_not_take_is_refused(run, form, how, message):
    with pytest.raises(ConfigError, match=message):
        export_model(str(run / "none" / "seed-0"), form, None, how=how)


def test_a_student_of_an_object_is_exported_by_the_program_that_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = {"x": torch.randn(60, 4, generator=torch.Generator().manual_seed(0)), "y": torch.arange(60) % 2}
    found = kantor.study(
        student=lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), data=data, methods="none", seeds=1,
        epochs=1, threads=1, batch_size=20, quiet=True,
    )  # fmt: skip
    program = torch.export.load(found.export("none", format="torch.export")).module()
    x = torch.randn(3, 4)
    torch.testing.assert_close(program(x), found.student("none")(x))
    folder = found.export("none", format="hub", output="hub")
    assert "object:student" in (folder / "README.md").read_text("utf-8")
    weights = found.export("none", output="mine.safetensors")
    assert weights.exists()


def test_a_model_in_hand_is_exported_too(tmp_path):
    model = load("mlp@hidden=3", classes=2, input_shape=(4,))
    model.fit_normaliser(torch.randn(10, 4))
    file = kantor.export(model, format="torch.export", output=tmp_path / "a.pt2")
    x = torch.randn(3, 4)
    torch.testing.assert_close(torch.export.load(file).module()(x), model.eval()(x))
    with pytest.raises(ConfigError, match="say with output"):
        kantor.export(model, format="torch.export")
