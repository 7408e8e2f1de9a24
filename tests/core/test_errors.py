"""A misspelt name is answered with those close to it."""

import pytest

from kantor.core.errors import KantorError, NonFiniteError, not_finite_in, suggest


def test_close_names_come_closest_first():
    assert suggest("neuron_transprt", ["kd", "neuron_transport", "label_transport"]).startswith(
        "Close to it: neuron_transport"
    )
    assert "kd" not in suggest("neuron_transprt", ["kd", "neuron_transport"])


def test_where_none_is_close_all_are_named_up_to_forty():
    assert suggest("zzz", ["kd", "sp", "kd"]) == "There are: kd, sp."
    many = [f"name{k:02}" for k in range(41)]
    assert suggest("###", many[:40]).endswith("name39.")
    assert suggest("###", many).endswith("name39, ....")
    assert suggest("x", []) == "There is none to choose from."


def test_it_is_said_of_what_something_was_not_finite():
    with pytest.raises(NonFiniteError, match=r"^layer3: the cost has a NaN$"), not_finite_in("layer3"):
        raise NonFiniteError("the cost has a NaN")
    with pytest.raises(KantorError, match=r"^other$"), not_finite_in("layer3"):
        raise KantorError("other")
