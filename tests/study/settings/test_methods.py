"""Methods as text: what a setting's value may be."""

import pytest

from kantor.core.errors import ConfigError
from kantor.study.settings.methods import parse_methods

BOMB = "[&a [1,2],&b [" + "*a," * 99 + "],&c [" + "*b," * 99 + "],[" + "*c," * 99 + "]]"


@pytest.mark.parametrize("value", [BOMB, "[" * 5000, "{a" * 500, "*a", "!!python/object/apply [ls]", "["])
def test_a_value_that_no_person_writes_is_refused_at_once(value):
    with pytest.raises(ConfigError, match="is no value"):
        parse_methods([f"fitnet@a={value}"])


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("4", 4), ("2.5", 2.5)])
def test_values_of_every_day(text, value):
    ((term,),) = (method.terms for method in parse_methods(f"kd@temperature={text}"))
    assert term.recipe is not None and term.recipe.settings == {"temperature": value}
    assert type(term.recipe.settings["temperature"]) is type(value)
