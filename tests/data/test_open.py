import sys

import numpy as np
import pytest
import torch
from PIL import Image

from kantor.core.errors import ConfigError, DataError
from kantor.data import open_data

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def digits():
    return open_data("digits")


def test_digits(digits):
    assert [len(digits.part(name)) for name in ("train", "validation", "test")] == [1293, 144, 360]
    assert digits.train.input_shapes["student"] == (1, 8, 8)
    pixels = digits.test.read(np.arange(360))["student"]
    assert pixels.dtype == torch.float32 and pixels.min() == 0 and pixels.max() == 1
    from sklearn.datasets import load_digits

    images, targets = load_digits(return_X_y=True)
    assert np.allclose(pixels.reshape(360, 64), images[digits.test.ids] / 16)
    assert (digits.test.targets == targets[digits.test.ids]).all()


def test_parts_do_not_overlap_and_the_test_part_never_moves(digits):
    few = open_data("digits", train_limit=100, validation=0.2)
    assert [len(few.part(name)) for name in ("train", "validation", "test")] == [80, 20, 360]
    assert few.test is not None and few.test.fingerprint == digits.test.fingerprint
    for data in (digits, few):
        ids = np.concatenate([data.part(name).ids for name in ("train", "validation", "test")])
        assert len(np.unique(ids)) == len(ids)
        assert all((np.diff(data.part(name).ids) > 0).all() for name in ("train", "validation", "test"))


def test_opening_twice_gives_the_same(digits):
    again = open_data("digits")
    assert again.train.fingerprint == digits.train.fingerprint


def test_no_validation_on_request():
    data = open_data("digits", validation=0.0)
    assert data.validation is None and len(data.train) == 1437


def test_image_size():
    assert open_data("digits", image_size=16).train.input_shapes["teacher"] == (1, 16, 16)


def test_facts_hold_what_step_0_prints(digits):
    facts = digits.facts()
    assert facts["parts"]["train"] == {"samples": 1293, "of": 1797}
    assert facts["classes"] == 10 and facts["input_shapes"]["student"] == [1, 8, 8]


def test_a_class_without_training_samples_is_said(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).random((30, 2)), label=np.arange(30) % 3 + 1)
    facts = open_data(tmp_path / "x.npz").facts()
    assert facts["classes_without_training_samples"] == ["0"]
    assert "labels begin at 1: where they count from there, subtract 1" in facts["empty classes"]
    assert "--classes 1,2,3 keeps" in facts["empty classes"]
    assert open_data(tmp_path / "x.npz", classes=["1", "2", "3"]).classes == ["1", "2", "3"]


@pytest.mark.parametrize(("largest", "times"), [(4095, 16), (255, 256), (16383, 4), (65535, None), (40000, None)])
def test_images_of_16_bits_that_hold_few_of_them_are_said_to_be_dark(tmp_path, largest, times):
    """Twelve bits of a camera or scanner in sixteen: what is black to a network is seen when the data are opened."""
    for k in range(12):
        path = tmp_path / ("cat", "dog")[k % 2] / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4), largest * (k + 1) // 12, dtype=np.uint16)).save(path)
    said = open_data(tmp_path).facts().get("16 bits", "")
    assert (f"hold 0 to {largest:,}, and 65,535 is white" in said and f"by {times} before" in said) == (
        times is not None
    )


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / "cifar10").mkdir()
    with pytest.raises(DataError, match=r"no file or folder .*cifar.*digits.*Close to it: cifar10"):
        open_data(tmp_path / "cifar")
    (tmp_path / "data.bin").write_text("a")
    with pytest.raises(DataError, match=r"Cannot tell what .*data\.bin is.*\.npz"):
        open_data(tmp_path / "data.bin")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_limit": 9}, "limit of 9 training samples is too few for 10 classes"),
        ({"validation": 1.0}, "validation share of 1.0"),
        ({"validation": -0.1}, "validation share of -0.1"),
        ({"views": {"student": "a"}}, "name none for the teacher. There are: image"),
        (
            {"views": {"student": "smal", "teacher": "image"}},
            "no view 'smal', asked for the student. Close to it: small",
        ),
        ({"label": "x"}, "has its own labels"),
        ({"image_size": 0}, "--image-size 0"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(ConfigError, match=message):
        open_data("digits", **settings)


def test_a_label_column_of_what_has_none(tmp_path):
    for name in "ab":
        (tmp_path / "photos" / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"label names a column of a table .*photos has its own labels"):
        open_data(tmp_path / "photos", label="y")


def test_extras_are_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ConfigError, match=r"kantor\[digits\]"):
        open_data("digits")
    (tmp_path / "train.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"kantor\[parquet\]"):
        open_data(tmp_path)
