"""Accuracy of a model, and of one of which nothing can be said."""

import math

import pytest
import torch
from torch import nn

import kantor
from kantor.core.errors import NonFiniteError
from kantor.training import evaluate


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    return kantor.open_data("digits", train_limit=200)


class Says(nn.Module):
    """Logits that are 0, but for one value in the row of one image."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.norm = value, nn.BatchNorm2d(1)

    def forward(self, x):
        logits = self.norm(x).flatten(1)[:, :10] * 0
        logits[3, 9] = self.value
        return logits


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_has_no_accuracy(digits, value):
    model = Says(value)
    model.norm.eval()
    with pytest.raises(NonFiniteError, match=rf"1 of \d+ samples of the test part, ids \[{digits.test.ids[3]}\]"):
        evaluate(model, digits.test)
    assert model.training and not model.norm.training


def test_a_class_that_is_ruled_out_is_no_fault(digits):
    others = kantor.open_data("digits", classes=[str(number) for number in range(9)]).test
    assert others is not None
    assert math.isfinite(evaluate(Says(-math.inf), others).loss)


def test_weights_that_are_not_finite(digits, tmp_path, monkeypatch, capsys):
    from kantor.cli import main

    monkeypatch.chdir(tmp_path)
    model = kantor.load("cnn@width=8", classes=digits.classes, input_shape=(1, 8, 8))
    with torch.no_grad():
        next(model.network.parameters())[0] = math.nan
    model.save("bad.safetensors")
    assert main(["evaluate", "--model", "cnn@width=8:bad.safetensors", "--data", "digits"]) == 2
    assert "not finite" in capsys.readouterr().err


def test_a_frozen_part_stays_frozen(digits):
    model = kantor.load("resnet8", classes=digits.classes, input_shape=(1, 8, 8)).train()
    model.network.bn1.eval()
    modes = [module.training for module in model.modules()]
    evaluate(model, digits.test)
    assert [module.training for module in model.modules()] == modes
