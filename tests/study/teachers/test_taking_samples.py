"""A network that fails on the data's samples is named; a machine that fails is not taken for one."""

import pytest
import torch

from kantor import load
from kantor.core.errors import ConfigError
from kantor.study.teachers.taking_samples import takes_samples


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
