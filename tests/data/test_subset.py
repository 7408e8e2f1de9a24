import numpy as np
import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.data import open_data

pytest.importorskip("sklearn")


def parts(data):
    return [data.part(name) for name in ("train", "validation", "test")]


def test_classes_are_numbered_in_the_order_given_and_ids_stay():
    whole, some = open_data("digits"), open_data("digits", classes=["7", "2"])
    assert some.classes == ["7", "2"]
    from sklearn.datasets import load_digits

    _, labels = load_digits(return_X_y=True)
    for part in parts(some):
        assert set(part.targets) == {0, 1}
        assert (np.where(part.targets == 0, 7, 2) == labels[part.ids]).all()
    assert sum(map(len, parts(some))) == np.isin(labels, [2, 7]).sum()
    assert some.train.samples == whole.train.samples
    assert some.facts()["class subset"] == "2 of 10 classes"


def test_disjoint_class_sets_share_no_sample():
    low, high = (open_data("digits", classes=[str(k) for k in range(*r)]) for r in ((0, 5), (5, 10)))
    ids = np.concatenate([part.ids for data in (low, high) for part in parts(data)])
    assert len(np.unique(ids)) == len(ids) == 1797


def test_classes_of_folders_leave_the_other_files_unread(folder, image_bytes):
    owl = folder / "train" / "owl"
    owl.mkdir()
    (owl / "bad.png").write_bytes(b"no image")
    for k in range(8):
        (owl / f"{k}.png").write_bytes(image_bytes(500 + k))
    with pytest.raises(DataError, match=r"bad.png"):
        open_data(folder, image_size=4)
    data = open_data(folder, image_size=4, classes=["dog", "cat"])
    assert sum(map(len, parts(data))) == 16
    assert data.facts()["class_names"] == ["dog", "cat"]


def test_the_datas_own_split_is_kept(tmp_path):
    x, y = np.random.default_rng(0).random((40, 3), dtype=np.float32), np.arange(40) % 4
    np.savez(tmp_path / "a.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    data = open_data(tmp_path / "a.npz", classes=["3", "1"])
    assert (data.test.ids == np.flatnonzero(np.isin(y[30:], [1, 3]))).all()
    assert (np.array([3, 1])[data.test.targets] == y[30:][data.test.ids]).all()


@pytest.mark.parametrize(
    ("classes", "says"),
    [(["1", "11"], "no class '11'. Close to it: 1"), (["1", "1"], "names '1' twice"), (["1"], "at least two")],
)
def test_classes_that_cannot_be_meant(classes, says):
    with pytest.raises(ConfigError, match=says):
        open_data("digits", classes=classes)


def test_fewer_labels_are_a_part_of_more_and_validation_is_the_same():
    found = {n: open_data("digits", labels_per_class=n) for n in (1, 5, 20, 100)}
    for n, data in found.items():
        assert np.bincount(data.train.targets).tolist() == [n] * 10
        assert data.validation.fingerprint == found[1].validation.fingerprint
        assert data.test.fingerprint == found[1].test.fingerprint
        assert not np.isin(data.train.ids, np.concatenate([data.validation.ids, data.test.ids])).any()
    for few, more in ((1, 5), (5, 20), (20, 100)):
        assert np.isin(found[few].train.ids, found[more].train.ids).all()
    assert len(found[1].validation) == len(open_data("digits").validation)


def test_more_labels_than_a_class_has():
    sizes = np.bincount(open_data("digits").train.targets)
    least = int(sizes.argmin())
    with pytest.raises(DataError, match=rf"class '{least}' has {sizes[least]} training.*at most {sizes[least]}"):
        open_data("digits", labels_per_class=int(sizes[least]) + 1)
    assert len(open_data("digits", labels_per_class=int(sizes[least])).train) == 10 * sizes[least]
    with pytest.raises(ConfigError, match="give one"):
        open_data("digits", labels_per_class=5, train_limit=50)
