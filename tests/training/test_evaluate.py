"""Metrics of a model, and of one of which nothing can be said."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import kantor
from kantor.core.errors import DataError, NonFiniteError
from kantor.tasks import Regression
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
    model.network.get_submodule("bn1").eval()
    modes = [module.training for module in model.modules()]
    evaluate(model, digits.test)
    assert [module.training for module in model.modules()] == modes


def test_no_gradient_is_kept_of_what_is_only_scored(digits):
    model = kantor.load("cnn@width=8", classes=digits.classes, input_shape=(1, 8, 8))
    followed = []
    model.register_forward_hook(lambda module, inputs, output: followed.append(output.requires_grad))
    evaluate(model, digits.test, batch_size=100)
    assert len(followed) > 1  # a graph held over all batches grows by each of them
    assert not any(followed)


def test_the_last_batch_counts_by_its_samples(digits):
    model = kantor.load("cnn@width=8", classes=digits.classes, input_shape=(1, 8, 8))
    whole, parts = (evaluate(model, digits.test, batch_size=size) for size in (1000, 7))
    assert len(digits.test) % 7
    assert parts.value == whole.value
    assert parts.loss == pytest.approx(whole.loss)
    assert parts.confusion == whole.confusion
    assert sum(map(sum, whole.confusion)) == len(digits.test)


def test_a_model_of_too_few_classes_is_refused(digits):
    model = kantor.load("cnn@width=8", classes=5, input_shape=(1, 8, 8))
    with pytest.raises(DataError, match=r"labels of the test part.*the student has 5 logits.*trained for"):
        evaluate(model, digits.test)


def test_numbers_are_judged_by_the_root_of_their_mean_square_over_all_batches(tmp_path):
    x = np.arange(20, dtype=np.float32)[:, None].repeat(3, 1)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=x[:, 0], x_test=x[:7], y_test=x[:7, 0])
    part = kantor.open_data(tmp_path / "a.npz", kind="numbers").part("test")
    found = evaluate(Constant(), part, task=Regression("m"), batch_size=3)
    assert found.value == pytest.approx(math.sqrt(np.square(np.arange(7)).mean()))
    assert found.said("test").startswith("RMSE 3.61 m, R2 -2.25 on 7 test samples")
    assert found.confusion == []


class Constant(nn.Module):
    def forward(self, x):
        return 0 * x[:, :1]
