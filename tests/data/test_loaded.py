from collections import UserDict

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


TEXT = {"input_ids": torch.arange(12).view(4, 3), "attention_mask": torch.ones(4, 3, dtype=torch.long)}


@pytest.mark.parametrize(
    "given",
    [
        {**TEXT, "labels": Y}, UserDict({**TEXT, "labels": Y, "token_type_ids": None}), (TEXT, Y),
        {"inputs": TEXT, "targets": Y}, {"student": TEXT, "labels": Y},
    ],
)  # fmt: skip
def test_several_tensors_are_one_mapping_for_every_role(given):
    batch = as_batch(given)
    assert batch.inputs["student"] is batch.inputs["teacher"]
    assert batch.inputs["student"].keys() == TEXT.keys() and batch.inputs["student"]["input_ids"] is TEXT["input_ids"]
    assert torch.equal(batch.targets, Y) and len(batch) == 4


def test_a_role_may_have_a_mapping_of_its_own():
    other = {"input_values": torch.rand(4, 100)}
    batch = as_batch({"student": TEXT, "big": other, "labels": Y, "ids": Y})
    assert batch.inputs["big"] == other and "teacher" not in batch.inputs


def test_a_call_is_a_batch():
    assert as_batch(X, Y).inputs["student"] is X
    assert torch.equal(as_batch(X, labels=Y, ids=Y + 1).ids, Y + 1)
    assert torch.equal(as_batch(**TEXT, labels=Y).targets, Y)
    assert as_batch(TEXT, labels=Y).inputs["student"].keys() == TEXT.keys()
    assert as_batch(batch=(X, Y)).inputs["student"] is X
    with pytest.raises(DataError, match="2 arguments and mask: beside inputs only targets and ids"):
        as_batch(X, Y, mask=X)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((X, Y, X), "tuple of 3 is no batch"),
        ("text", "A str is no batch"),
        (None, "NoneType is no batch"),
        ({"a": X, "b": X[:2]}, r"a \[4, 3\], b \[2, 3\]"),
        ({"student": {"a": [1]}, "labels": Y}, r"what student sees must be tensors, and are a mapping of a \(list\)"),
        ({"student": {}, "labels": Y}, "a mapping of nothing"),
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


@pytest.mark.parametrize("given", [(torch.zeros(0, 3), torch.zeros(0)), torch.zeros(0, 3), {"x": torch.zeros(0, 3)}])
def test_a_batch_of_nothing(given):
    with pytest.raises(DataError, match="holds no sample"):
        as_batch(given)
