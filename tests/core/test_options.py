from __future__ import annotations

from functools import partial

import pytest

from kantor.core.errors import ConfigError
from kantor.core.options import literals, numbers_or_text, split_options, typed_options


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
        ({"sise": "2"}, "Close to it: size"),
        ({"size": "2"}, "no option 'size'"),
        ({"num_classes": "2"}, "no option 'num_classes'"),
        ({"width": "wide"}, "net@width=wide: the value must be float"),
        ({"patch": "2.5"}, "net@patch=2.5: the value must be int"),
        ({"bias": "maybe"}, "must be bool"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        typed_options(factory, options, "net", given=("num_classes",), besides=("size",))


def test_a_name_and_its_options():
    assert split_options("net@a=1@b=x=y", "net@a=1@b=x=y:FILE") == ("net", {"a": "1", "b": "x=y"})
    for wrong in ("net@a", "net@=1", "net@"):
        with pytest.raises(ConfigError, match=f"in '{wrong}:FILE' is no option"):
            split_options(wrong, f"{wrong}:FILE")


def test_numbers_among_options_are_told_from_text():
    found = numbers_or_text({"a": "1", "b": "0.5", "c": "true", "d": "[1]", "e": "none", "f": "word"})
    assert found == {"a": 1, "b": 0.5, "c": True, "d": "[1]", "e": "none", "f": "word"}
