"""What is imported is a factory of a network, and what is plainly none is not called to find out."""

import sys

import pytest
from torch import nn

from kantor.core.errors import ConfigError
from kantor.models import load

MODULE = """
import functools, os, subprocess
from os import system
from pathlib import Path
from typing import Any, Callable, Protocol
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(12, num_classes))

class Maker:
    def __call__(self, num_classes):
        return Net(num_classes)

class Number:
    def __call__(self, num_classes) -> int:
        called()

class Plain:
    def __init__(self, num_classes=2):
        called()

def called():
    Path({mark!r}).touch()

def typed(num_classes) -> nn.Module:
    return Net(num_classes)

def optional(num_classes) -> "Net | None":
    return Net(num_classes)

def anything(num_classes) -> Any:
    return Net(num_classes)

def unknown(num_classes) -> "NotThere":
    return Net(num_classes)

def untyped(num_classes):
    return Net(num_classes)

def a_function(num_classes) -> Callable:
    return Net(num_classes)

def number(num_classes) -> int:
    called()

def nothing(num_classes) -> None:
    called()

def names(num_classes) -> list[str]:
    called()

def liar(num_classes):
    called()
    return 3

maker, counter, network = Maker(), Number(), Net(2)
bound = functools.partial(untyped)
shell, remove = functools.partial(subprocess.run), os.remove
"""


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A module of the user's; the file that this returns is there once one of its wrong factories was called."""
    (tmp_path / "many_makers.py").write_text(MODULE.format(mark=str(tmp_path / "called")))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "called"
    sys.modules.pop("many_makers", None)


@pytest.mark.parametrize(
    "name", ["Net", "maker", "bound", "typed", "optional", "anything", "unknown", "untyped", "a_function"]
)
def test_what_may_make_a_network_is_called(mark, name):
    assert isinstance(load(f"many_makers:{name}", classes=2, input_shape=(3, 2, 2)).network, nn.Module)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("os:system@command=touch called", "standard library"),
        ("subprocess:run@args=ls", "standard library"),
        ("many_makers:system@command=touch called", "compiled code"),
        ("many_makers:remove@path=x", "compiled code"),
        ("many_makers:shell@args=ls", "standard library"),
        ("many_makers:Path", "no nn.Module"),
        ("many_makers:Plain", "no nn.Module"),
        ("many_makers:number", "returns int"),
        ("many_makers:nothing", "returns nothing"),
        ("many_makers:names", "returns list"),
        ("many_makers:counter", "returns int"),
        ("many_makers:network", "is a network already"),
        ("numpy:zeros@shape=3", "compiled code"),
        ("torch:zeros@size=3", "compiled code"),
    ],
)
def test_what_makes_none_is_refused_uncalled(mark, spec, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"{message}.*Name a class that is an nn.Module, or a function"):
        load(spec, classes=2)
    assert not mark.exists()


def test_what_cannot_be_told_before_is_told_after(mark):
    with pytest.raises(ConfigError, match="returned int; a factory returns"):
        load("many_makers:liar", classes=2)
    assert mark.exists()


def test_a_module_of_the_standard_library_is_not_even_imported():
    sys.modules.pop("antigravity", None)
    with pytest.raises(ConfigError, match="standard library"):
        load("antigravity:geohash", classes=2)
    assert "antigravity" not in sys.modules
