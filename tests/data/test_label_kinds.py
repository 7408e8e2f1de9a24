import numpy as np
import pytest

import kantor
from kantor.core.errors import ConfigError, DataError
from kantor.data.label_kinds import label_arrays, strata_of, texts_of

X = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)


def test_numbers_are_cut_by_the_hash_alone_and_one_that_is_missing_has_no_label(tmp_path):
    y = X.sum(axis=1)
    y[[3, 9]] = np.nan
    np.savez(tmp_path / "a.npz", x_train=X, y_train=y, x_test=X[:10], y_test=X[:10, 0])
    data = kantor.open_data(tmp_path / "a.npz", kind="numbers", unlabelled="all")
    assert data.train.targets.dtype == np.float32
    assert data.unlabelled.ids.tolist() == [3, 9]
    assert sorted([*data.train.ids, *data.validation.ids, 3, 9]) == list(range(40))
    np.testing.assert_allclose(data.train.targets, X.sum(axis=1)[data.train.ids], rtol=1e-6)
    assert data.classes == ["0"]
    limited = kantor.open_data(tmp_path / "a.npz", kind="numbers", train_limit=20, validation=0)
    assert len(limited.train) == 20
    assert set(limited.train.ids) < set(range(40)) - {3, 9}


def test_the_fingerprint_tells_labels_apart(tmp_path):
    found = []
    for shift in (0, 0.25):
        np.savez(tmp_path / "a.npz", x=X, y=X[:, 0] + shift)
        found.append(kantor.open_data(tmp_path / "a.npz", kind="numbers").train.fingerprint)
    assert found[0] != found[1]


def test_several_labels_and_maps(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=X > 0, class_names=np.array(list("abcde")))
    data = kantor.open_data(tmp_path / "a.npz", kind="several")
    assert data.classes == list("abcde")
    np.testing.assert_array_equal(data.test.targets, X[data.test.ids] > 0)
    maps = np.random.default_rng(0).integers(0, 3, (40, 4, 4)).astype(np.uint8)
    maps[0, 0, 0] = 255
    np.savez(tmp_path / "b.npz", x=np.zeros((40, 4, 4), np.uint8), y=maps)
    data = kantor.open_data(tmp_path / "b.npz", kind="maps")
    assert data.classes == ["0", "1", "2"]  # 255 is no class
    assert data.train.targets.dtype == np.int64
    assert data.train.targets.shape[1:] == (4, 4)


@pytest.mark.parametrize("setting", [{"labels_per_class": 2}, {"classes": ["0", "1"]}])
def test_what_chooses_by_class_is_refused_by_name(tmp_path, setting):
    np.savez(tmp_path / "a.npz", x=X, y=X[:, 0])
    with pytest.raises(ConfigError, match=f"{next(iter(setting))} chooses samples by their class"):
        kantor.open_data(tmp_path / "a.npz", kind="numbers", **setting)


def test_images_in_folders_have_classes_alone():
    pytest.importorskip("sklearn")
    with pytest.raises(ConfigError, match="digits has a class a sample"):
        kantor.open_data("digits", kind="numbers")


@pytest.mark.parametrize(
    ("y", "says"), [(X[:, 0], "no class number.*--task regression"), (X > 0, "several_labels or dense_labels")]
)
def test_labels_of_another_kind_name_the_task_that_takes_them(tmp_path, y, says):
    np.savez(tmp_path / "a.npz", x=X, y=y)
    with pytest.raises(DataError, match=says):
        kantor.open_data(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("kind", "labels", "says"),
    [
        ("numbers", {"train": X[:, 0], "test": np.array([1, np.nan])}, "test part, row 1.*not finite"),
        ("numbers", {"train": np.array([1, np.inf])}, "train part, row 1.*not finite"),
        ("numbers", {"train": np.array(["a", "b"])}, "are not a number"),
        ("numbers", {"train": X, "test": X[:, :2]}, "other widths"),
        ("several", {"train": np.array([[0, 2]])}, "not 0 or 1"),
        ("several", {"train": np.array([[0, 1]]), "test": np.array([[-1, -1]])}, "test part, row 0"),
        ("several", {"train": np.array([0, 1])}, "not a row of 0 and 1"),
        ("maps", {"train": np.array([0, 1])}, "not class numbers at every place"),
        ("maps", {"train": np.array([[0, -1]])}, "negative"),
        ("maps", {"train": np.array([[0, 0.5]])}, "no class number"),
    ],
)
def test_labels_that_cannot_be_meant(kind, labels, says):
    with pytest.raises(DataError, match=says):
        label_arrays(labels, kind, None, "a.npz")


def test_numbers_that_float32_cannot_tell_apart():
    y = np.random.default_rng(0).normal(size=40)
    seconds = {"train": 1.7e9 + y, "test": 1.7e9 + y}
    with pytest.raises(DataError, match=r"labels near 1.7e\+09 differ by less than float32 tells apart. Subtract"):
        label_arrays(seconds, "numbers", None, "file")
    for fine in (y, y + 100, np.full(40, 0.1), np.full(40, np.nan), np.arange(40) * 1e9):
        label_arrays({"train": fine}, "numbers", None, "file")


def test_names_are_one_for_each():
    with pytest.raises(DataError, match="names 1 classes, and its labels are of 5"):
        label_arrays({"train": X}, "numbers", ["a"], "a.npz")


def test_samples_in_words_and_by_strata():
    assert texts_of(np.array([1, 0, 7]), ["a", "b"]) == ["b", "a", "class 7"]
    assert texts_of(np.array([0.123456, 2], np.float32), ["y"]) == ["0.1235", "2"]
    assert texts_of(np.zeros((2, 3, 3), np.int64), ["a"]) == ["", ""]
    assert strata_of(np.array([[1.0, np.nan], [0, 0]])).tolist() == [-1, 0]
    assert strata_of(np.array([4, -1])).tolist() == [4, -1]
