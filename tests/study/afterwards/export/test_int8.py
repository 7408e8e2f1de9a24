"""ONNX programs in 8 bits, with what they reach."""

import json

import pytest
import torch

import kantor
import small
from kantor.cli import main
from kantor.study import run_study
from kantor.study.afterwards.export.onnx_file import Session

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def facts(content: bytes) -> dict:
    return {entry.key: json.loads(entry.value) for entry in onnx.load_from_string(content).metadata_props}


def test_of_a_runs_student_what_it_reaches_is_said_beside_float32_and_kept(tmp_path, capsys):
    run_study(small.settings(tmp_path, seeds=1), small.console())
    student = tmp_path / "runs" / "run" / "none" / "seed-0"
    assert main(["export", str(student), "--format=onnx", "--int8"]) == 0
    said = capsys.readouterr().out
    kept = facts((student / "student.int8.onnx").read_bytes())["kantor"]["int8"]
    reached = json.loads((student / "result.json").read_text())["accuracy"]
    assert kept["metric"] == "accuracy" and kept["float32"] == pytest.approx(reached, abs=1e-6)
    assert f"{100 * kept['value']:.2f} % on the test part, {100 * reached:.2f} % in float32" in said


@pytest.mark.parametrize("bare", [False, True])
def test_without_a_run_the_logits_are_compared_and_it_stays_near_the_model(tmp_path, bare):
    torch.manual_seed(0)
    model = kantor.load("cnn@width=16@normalise=0.5/0.25", classes=["cat", "dog"], input_shape=(1, 12, 12)).eval()
    written = {}
    for int8 in (False, True):
        file = kantor.export(model, format="onnx", output=tmp_path / f"{int8}.onnx", bare=bare, int8=int8)
        written[int8] = file.read_bytes()
    assert len(written[True]) < len(written[False])
    kept = facts(written[True])
    assert kept["classes"] == ["cat", "dog"] and 0 < kept["kantor"]["int8"]["differs"] < 0.2
    x = torch.rand(5, 1, 12, 12)
    with torch.no_grad():
        expected = model(x)
    found = Session(written[True], "a").outputs(model.normalise(x) if bare else x)
    assert (found - expected).abs().max() < 0.2 * expected.abs().max()
