import pytest
import torch

from kantor.core.errors import DataError
from kantor.data import Batch, as_batch

X, Y = torch.rand(4, 3), torch.arange(4)


@pytest.mark.parametrize(
    ("given", "labelled"),
    [
        ((X, Y), True), ([X, Y], True), (X, False), ((X,), False), ((X, [0, 1, 2, 3]), True),
        ({"pixel_values": X, "labels": Y}, True), ({"image": X, "label": Y}, True), ({"x": X, "y": Y}, True),
        ({"student": X, "targets": Y}, True), ({"x": X, "labels": None}, False),
    ],
)  # fmt: skip
def test_what_loaders_yield_is_a_batch(given, labelled):
    batch = as_batch(given)
    assert batch.inputs["student"] is X and batch.inputs["teacher"] is X
    assert batch.targets is None if not labelled else torch.equal(batch.targets, Y)


def test_roles_ids_and_fewer_targets_are_kept():
    other = torch.rand(4, 7)
    batch = as_batch({"student": X, "mri": other, "targets": Y[:2], "ids": Y + 10})
    assert batch.inputs["mri"] is other and "teacher" not in batch.inputs
    assert batch.targets.tolist() == [0, 1] and batch.ids.tolist() == [10, 11, 12, 13]
    assert as_batch(({"student": X, "teacher": other}, Y)).inputs["teacher"] is other
    assert as_batch(batch) is batch
    assert isinstance(batch, Batch)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((X, Y, X), "tuple of 3 is no batch"),
        ("text", "A str is no batch"),
        (None, "NoneType is no batch"),
        ({"a": X, "b": X}, "holds a, b, and one input is read"),
        ({"labels": Y}, "holds nothing"),
        ({"x": X, "labels": Y, "target": Y}, "target and labels: leave one"),
        ({"x": X, "name": ["a", "b"]}, r"a mapping of x \(Tensor\), name \(list\)"),
        ((X, ["a", "b", "c", "d"]), "no numbers"),
        ((X, "abcd"), "targets are a str"),
        ({"student": X, "teacher": X[:2]}, "other lengths"),
        ({"x": X, "ids": Y[:2]}, "other lengths"),
        (([1, 2], Y), "inputs are a list"),
    ],
)
def test_what_is_no_batch_is_told_what_one_looks_like(given, says):
    with pytest.raises(DataError, match=f"{says}.*A batch is"):
        as_batch(given)
