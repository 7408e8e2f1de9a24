"""Objects under names: there while they are said to be, and told of where they are not."""

import pytest

from kantor.core import trust
from kantor.core.errors import ConfigError
from kantor.core.imported import imported, is_path
from kantor.core.objects import at_hand, is_object, object_at, object_name


def test_an_object_is_found_by_its_name_for_as_long_as_it_is_at_hand():
    name, thing = object_name("net"), object()
    assert is_object(name) and is_path(name) and not is_object("objects.mine:net")
    with at_hand({name: thing}):
        assert object_at(name) is thing
        assert imported(name, "factory", "") is thing
        with at_hand({name: 3}):
            assert object_at(name) == 3
        assert object_at(name) is thing
    with pytest.raises(ConfigError, match=r"object:net was handed over by a Python program .* kantor\.study"):
        object_at(name)


def test_it_is_no_code_that_a_file_asks_for(tmp_path):
    trust.forget()
    trust.found([object_name("net")], tmp_path / "config.yaml")
    trust.check(object_name("net"))
    with pytest.raises(ConfigError, match="is code that you did not write"):
        trust.check(object_name("net"), "objects.mine:net")
