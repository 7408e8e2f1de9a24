"""A network that fails on the data's samples is named; a machine that fails is not taken for one."""

import copy

import pytest
import torch

from kantor import load
from kantor.core.errors import ConfigError
from kantor.study.teachers.taking_samples import blamed_on_samples, takes_samples


@pytest.fixture(scope="module")
def model():
    return load("cnn@width=4", classes=3, input_shape=(1, 8, 8))


def test_a_network_for_other_samples_is_named_with_their_shape(model):
    said = r"fails on samples of the shape \[1, 8, 8\].*cannot be multiplied"
    with pytest.raises(ConfigError, match=said), takes_samples(model):
        torch.matmul(torch.ones(2, 3), torch.ones(2, 3))


def test_too_little_memory_and_a_broken_device_are_left_as_they_are(model):
    with pytest.raises(RuntimeError, match="allocate memory"), takes_samples(model):
        torch.empty(10**15)
    with pytest.raises(RuntimeError, match=r"^CUDA error"), takes_samples(model):
        raise RuntimeError("CUDA error: device-side assert triggered")


def test_an_error_in_the_middle_of_work_is_blamed_on_a_network_that_does_not_take_the_samples(model):
    samples, other = torch.zeros(2, 1, 8, 8), copy.deepcopy(model)
    other.name, other.network = "mine", torch.nn.Linear(3, 3)
    with (
        pytest.raises(ConfigError, match=r"mine fails on samples of the shape"),
        blamed_on_samples((model, samples), (other, samples)),
    ):
        other(samples)
    with pytest.raises(ZeroDivisionError), blamed_on_samples((model, samples)):
        raise ZeroDivisionError
    with pytest.raises(ConfigError, match=r"^own$"), blamed_on_samples((other, samples)):
        raise ConfigError("own")
