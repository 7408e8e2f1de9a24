import numpy as np
import pytest

from kantor.core.errors import DataError
from kantor.data.class_names import checked_names, in_order, renumbered


def test_numbers_are_in_the_order_of_numbers():
    assert in_order(["10", "9", "2", "0"]) == ["0", "2", "9", "10"]
    assert in_order(["b", "10", "9"]) == ["10", "9", "b"]
    assert in_order(["02", "10", "1"]) == ["1", "02", "10"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "dog", "cat"], "two classes of one name, 'cat' and 'cat' .classes 0 and 2"),
        (["caf\u00e9", "cafe\u0301"], "two classes of one name"),
        (["cat", "cat "], "two classes of one name"),
        (["cat", " "], "class 1 has no name"),
        (["cat", "\udcff"], "not valid UTF-8"),
    ],
)
def test_a_name_means_one_class(names, message):
    with pytest.raises(DataError, match=message):
        checked_names(names, "here")


def test_classes_are_matched_by_name():
    assert renumbered(np.array([0, 1, -1]), ["dog", "cat"], ["cat", "dog"], "f").tolist() == [1, 0, -1]
    assert renumbered(np.array([0]), ["cat", "emu"], ["emu", "dog", "cat"], "f").tolist() == [2]
    with pytest.raises(DataError, match="f, row 1: class 'emu' is not among the training classes"):
        renumbered(np.array([0, 1]), ["cat", "emu"], ["cat", "dog"], "f")
    with pytest.raises(DataError, match="f, row 0: label 2 is out of range"):
        renumbered(np.array([2]), ["dog", "cat"], ["cat", "dog"], "f")
