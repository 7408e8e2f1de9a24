"""Sizes that a network cannot have."""

import pytest

from kantor.core.errors import ConfigError
from kantor.models import load

SIZES = (
    "mlp@hidden=-3", "mlp@hidden=0", "mlp@depth=-1", "vit@dim=0", "vit@heads=0", "vit@depth=0", "vit@patch=-2",
    "resnet8@width=0", "resnet8@width=-1", "cnn@width=0",
)  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_a_size_below_the_least_is_refused_by_name(name):
    with pytest.raises(ConfigError, match=name.split("@")[1].split("=")[0]):
        load(name, classes=3, input_shape=(3, 8, 8))
