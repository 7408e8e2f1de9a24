from __future__ import annotations

from functools import partial

import pytest

from kantor.core.errors import ConfigError
from kantor.models.options import literals, typed_options


def factory(
    depth, num_classes, *, width: float = 1.0, patch: int | None = None, bias: bool = True, act: str = "relu", free=0
):
    """Annotated with text, as under ``from __future__ import annotations``."""


def anything(num_classes, **kwargs):
    """Takes every name."""


def test_values_take_the_annotated_type():
    options = {"width": "2", "patch": "4", "bias": "false", "act": "3", "free": "[1, 2]"}
    found = typed_options(partial(factory, 8), options, "net")
    assert found == {"width": 2.0, "patch": 4, "bias": False, "act": "3", "free": [1, 2]}
    assert isinstance(found["width"], float)
    assert typed_options(factory, {"patch": "none", "free": "gelu"}, "net") == {"patch": None, "free": "gelu"}


def test_a_factory_without_names_takes_literals():
    options = {"rate": "0.5", "pool": "avg", "flag": "True", "img_size": "64"}
    expected = {"rate": 0.5, "pool": "avg", "flag": True, "img_size": 64}
    assert typed_options(anything, options, "net") == expected
    assert literals(options) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widht": "2"}, "net has no option 'widht'. Close to it: width"),
        ({"num_classes": "2"}, "no option 'num_classes'"),
        ({"width": "wide"}, "net@width=wide: the value must be float"),
        ({"patch": "2.5"}, "net@patch=2.5: the value must be int"),
        ({"bias": "maybe"}, "must be bool"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        typed_options(factory, options, "net")
