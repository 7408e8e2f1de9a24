"""ONNX programs say what the model says, or are not written."""

import json

import pytest
import torch

import kantor
from kantor.core.errors import ConfigError
from kantor.study.afterwards.export.onnx_file import Session, onnx_program
from kantor.study.afterwards.export.samples import Samples, samples_for

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    spec = "cnn@width=4@size=8@normalise=0.5/0.25"
    return kantor.load(spec, classes=["cat", "dog"], input_shape=(1, 12, 12)).eval()


@pytest.fixture(scope="module")
def written(model):
    return onnx_program(model, samples_for(model, None))


def test_it_agrees_with_the_model_on_any_batch_and_any_size(model, written):
    content, program, share = written
    assert program.any_size and share < 1e-5
    for shape in ((1, 1, 12, 12), (5, 1, 9, 20)):
        x = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(Session(content, "a").outputs(x), model(x), atol=1e-5, rtol=1e-4)


def test_its_metadata_name_the_classes_and_the_model(written):
    found = {entry.key: json.loads(entry.value) for entry in onnx.load_from_string(written[0]).metadata_props}
    assert found["classes"] == ["cat", "dog"]
    assert found["kantor"]["takes"] == [None, 1, None, None] and found["kantor"]["preprocessing"] == "inside"


def test_one_that_says_something_else_is_not_written(model, monkeypatch):
    honest = Session.outputs
    monkeypatch.setattr(Session, "outputs", lambda session, inputs: honest(session, inputs) * 1.01)
    with pytest.raises(ConfigError, match=r"cnn and its ONNX program differ by 0\.0\d+ of the largest logit on 2 of"):
        onnx_program(model, Samples(torch.rand(2, 1, 12, 12), "2 of mine"))


def test_bare_it_takes_what_is_normalised_already():
    model = kantor.load("mlp@hidden=3@normalise=1,2/3,4", classes=2, input_shape=(2,)).eval()
    content, _, share = onnx_program(model, samples_for(model, None), bare=True)
    assert share < 1e-5
    x = torch.randn(4, 2)
    with torch.no_grad():
        torch.testing.assert_close(Session(content, "a").outputs(model.normalise(x)), model(x), atol=1e-5, rtol=1e-4)


def test_what_onnx_has_no_operator_for_is_refused_by_name(monkeypatch, model):
    def fall(*_, **__):
        raise RuntimeError("no operator for it")

    monkeypatch.setattr(torch.onnx, "export", fall)
    with pytest.raises(ConfigError, match="cnn cannot be written as ONNX: no operator for it"):
        onnx_program(model, samples_for(model, None))


def test_what_onnxruntime_cannot_run_is_said():
    with pytest.raises(ConfigError, match="mine became an ONNX program that onnxruntime cannot run"):
        Session(b"nothing", "mine")
