"""Programs of torch: any batch, and any size of images where the model resizes them."""

import pytest
import torch
from torch import nn

import kantor
from kantor.core.errors import ConfigError
from kantor.models import Model
from kantor.study.afterwards.export.program import program_of, seen_by


def small(**changes) -> Model:
    torch.manual_seed(0)
    return kantor.load("cnn@width=4", classes=["a", "b"], input_shape=(1, 8, 8)).eval()


def test_a_model_that_resizes_takes_images_of_any_size():
    model = kantor.load("cnn@width=4@size=8@normalise=0.5/0.25", classes=2, input_shape=(1, 12, 12)).eval()
    program = program_of(model)
    assert program.takes == [None, 1, None, None] and "of any size" in program.said(1)
    for shape in ((1, 1, 12, 12), (3, 1, 8, 8), (2, 1, 17, 30)):
        x = torch.rand(shape)
        torch.testing.assert_close(program.exported.module()(x), model(x))


def test_a_model_that_does_not_takes_the_size_that_it_was_made_for():
    program = program_of(small())
    assert program.takes == [None, 1, 8, 8]
    assert program.said(1) == (
        "The program takes any number of images of 1 channel(s), 8 pixels high and 8 wide, and no other size."
    )
    with pytest.raises(AssertionError, match="8"):
        program.exported.module()(torch.rand(2, 1, 9, 9))


def test_bare_the_network_alone_is_given_what_the_model_would_give_it():
    model = kantor.load("mlp@hidden=3@normalise=1,2/3,4", classes=2, input_shape=(2,)).eval()
    x = torch.randn(5, 2)
    program = program_of(model, bare=True)
    torch.testing.assert_close(program.exported.module()(seen_by(model, x, bare=True)), model(x))
    assert not torch.allclose(program.exported.module()(x), model(x))


class Chooses(nn.Module):
    """Which way depends on the values."""

    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_network_that_cannot_be_traced_is_refused_by_name():
    model = Model(Chooses(), name="chooses", num_classes=2, input_shape=(2,))
    with pytest.raises(ConfigError, match=r"chooses cannot be made a program of torch: .*--format safetensors"):
        program_of(model)
