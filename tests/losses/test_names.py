"""What is imported by a loss's name is the loss as a function."""

import importlib
import inspect

import pytest

from kantor import losses


@pytest.mark.parametrize("name", [*losses.LOSSES, *losses.PENALTIES])
def test_the_name_is_the_function(name: str) -> None:
    module = importlib.import_module(f"kantor.losses.{name}")
    function = getattr(losses, name)
    assert inspect.isfunction(function) and function is getattr(module, name)
    assert function.__name__ == name and name in losses.__all__
    assert function.__doc__


def test_all_that_is_said_to_be_there_is() -> None:
    assert len(set(losses.__all__)) == len(losses.__all__)
    for name in losses.__all__:
        assert not inspect.ismodule(getattr(losses, name)), name
