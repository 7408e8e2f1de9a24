import contextlib

import numpy as np
import pytest
import torch

from kantor.core.errors import ConfigError, DataError
from kantor.data import open_data

RNG = np.random.default_rng(0)
LABELS = np.arange(50) % 5


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "set.npz", **arrays)
        return tmp_path / "set.npz"

    return save


def vectors(n=50, d=4):
    return RNG.normal(0, 100, (n, d))


def test_views_by_role_are_rows_of_one_instance(save):
    a, b = vectors(), vectors(d=7)
    data = open_data(save(a=a, b=b, label=LABELS), views={"student": "a", "teacher": "b"})
    part = data.train
    read = part.read(np.arange(len(part)))
    assert torch.equal(read["student"], torch.from_numpy(a[part.ids].astype(np.float32)))
    assert torch.equal(read["teacher"], torch.from_numpy(b[part.ids].astype(np.float32)))
    assert part.input_shapes == {"student": (4,), "teacher": (7,)}
    assert (part.targets == LABELS[part.ids]).all()
    assert data.test is not None and len(data.test) == 20 and "40%" in data.facts()["test"]
    parts = [data.train, data.validation, data.test]
    assert sorted(np.concatenate([p.ids for p in parts if p is not None]).tolist()) == list(range(50))


def test_one_array_goes_to_both_roles(save):
    part = open_data(save(x=vectors(), y=LABELS)).train
    read = part.read(np.arange(3))
    assert read["student"] is read["teacher"]


def test_several_views_and_no_choice_lists_them(save):
    path = save(a=vectors(), b=vectors(d=7), label=LABELS)
    with pytest.raises(ConfigError, match=r"several views: a \[4\], b \[7\].*--views"):
        open_data(path)
    with pytest.raises(ConfigError, match=r"none for the teacher\. There are: a, b"):
        open_data(path, views={"student": "a"})
    with pytest.raises(ConfigError, match="no view 'c', asked for the teacher"):
        open_data(path, views={"student": "a", "teacher": "c"})


@pytest.mark.parametrize("shape", [(50, 6, 5), (50, 6, 5, 1), (50, 1, 6, 5)])
def test_images_are_scaled_and_channels_first(save, shape):
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    part = open_data(save(images=pixels, label=LABELS)).train
    expected = pixels.reshape(50, 1, 6, 5)[part.ids].astype(np.float32) / 255
    assert np.array_equal(part.read(np.arange(len(part)))["student"].numpy(), expected)
    as_float = open_data(save(images=pixels.astype(np.float64) / 255, label=LABELS), image_size=3).train
    assert as_float.input_shapes["student"] == (1, 3, 3)


def test_parts_by_index_arrays(save):
    x = vectors()
    test, held = np.arange(40, 50)[::-1], np.arange(30, 40)
    data = open_data(save(x=x, label=LABELS, test_index=test, validation=held))
    assert data.test is not None and data.test.ids.tolist() == list(range(40, 50))
    assert data.validation is not None and data.validation.ids.tolist() == held.tolist()
    assert data.train.ids.tolist() == list(range(30)) and data.train.samples == 50
    mask = np.arange(50) < 45
    masked = open_data(save(x=x, label=LABELS, train=mask, test=~mask), validation=0.0)
    assert masked.test is not None and len(masked.test) == 5 and len(masked.train) == 45
    with pytest.raises(DataError, match="row 7 is in more than one part"):
        open_data(save(x=x, label=LABELS, train=np.arange(8), test=np.arange(7, 50)))
    with pytest.raises(DataError, match="'test' names rows outside 0 to 49"):
        open_data(save(x=x, label=LABELS, test=np.array([50])))


@pytest.mark.parametrize("name", ["{}_{}", "{1}_{0}"])
def test_parts_by_named_arrays(save, name):
    arrays = {
        name.format(what, part): values
        for part, n in (("train", 30), ("test", 20))
        for what, values in (("x", vectors(n)), ("label", (np.arange(n) % 5)[:, None]))
    }
    data = open_data(save(**arrays), validation=0.0)
    assert data.test is not None and (len(data.train), len(data.test)) == (30, 20)
    assert data.train.samples == 30


@pytest.mark.parametrize("name", ["{}_ids_train", "{}_train_ids", "train_{}_ids"])
def test_ids_of_arrays_by_part(save, name):
    ids = np.arange(50)
    given = {"x_train": vectors(), "z_train": vectors(), "y_train": LABELS, "stray": LABELS}
    views = {"teacher": "x", "student": "z"}
    paired = {name.format("x"): ids, name.format("z"): ids}
    data = open_data(save(**given, **paired), views=views)
    assert data.facts()["ignored_arrays"] == ["stray"]
    with pytest.raises(DataError, match=r"train part: the views do not pair up. Row 0 .*50 such rows"):
        open_data(save(**given, **paired | {name.format("z"): np.roll(ids, 1)}), views=views)
    with pytest.raises(DataError, match="x_ids and z_ids are text and numbers"):
        open_data(save(**given, **paired | {name.format("x"): ids.astype(str)}), views=views)


def test_class_names_and_text_labels(save):
    named = open_data(save(x=vectors(), label=LABELS, class_names=np.array(list("abcde"))))
    assert named.classes == list("abcde")
    text = open_data(save(x=vectors(), label=np.array(list("edcba") * 10), words=np.array(["w"] * 50)))
    assert text.classes == list("abcde") and text.facts()["ignored_arrays"] == ["words"]
    assert (text.train.targets == 4 - text.train.ids % 5).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": vectors()}, "no array of labels.*It has: x.*--label"),
        ({"x": vectors(49), "label": LABELS}, "'x' has 49 rows for train and the labels have 50"),
        ({"x": np.full((50, 2), np.nan), "label": LABELS}, "row 0 holds a value that is not finite .50 such"),
        ({"x": vectors(), "label": LABELS - 2}, "row 0: label -2 is out of range"),
        ({"x": vectors(), "label": LABELS + 0.5}, "label 0.5 is no class number"),
        ({"x": vectors(), "label": LABELS * 1000}, "labels go up to 4000 with 50 samples"),
        ({"x": vectors(), "label": np.stack([LABELS] * 2, 1)}, r"labels 'label' have shape \[50, 2\]"),
        ({"x": RNG.random((50, 4, 4)) * 255, "label": LABELS}, "pixels run from .* give uint8"),
        ({"x": RNG.random((50, 2, 3, 4)), "label": LABELS}, "neither a vector nor an image"),
        ({"label": LABELS, "n": LABELS}, "no array of 50 rows that could be a view"),
        ({"x_test": vectors(), "label_test": LABELS}, "none for train"),
        ({"x": np.array([object()] * 50), "label": LABELS}, "pickled objects"),
        ({"x_train": vectors(0), "label_train": LABELS[:0]}, "the train part has no rows"),
        (
            {"x_train": vectors(), "label_train": LABELS, "x_ids": LABELS},
            "'x_ids' does not say of which.* x_ids_train",
        ),
        (
            {"x_train": vectors(), "label_train": LABELS, "x_ids_train": LABELS, "x_train_ids": LABELS},
            "'x_ids' of the train part twice, once as 'x_train_ids'",
        ),
    ],
)
def test_bad_arrays(save, arrays, message):
    with pytest.raises(DataError, match=message):
        open_data(save(**arrays))


def test_a_row_has_two_dimensions(save):
    with pytest.raises(DataError, match=r"no array of the train part has rows: x.* two dimensions"):
        open_data(save(x=vectors()[:, 0]), need_labels=False)


def test_bad_files(tmp_path, save):
    path = save(x=vectors(), label=LABELS)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read as an npz"):
        open_data(path)
    with pytest.raises(ConfigError, match="--image-size is for images"):
        open_data(save(x=vectors(), label=LABELS), image_size=8)


def test_handwritten_views(shared_data):
    path = shared_data / "handwritten_views" / "handwritten_views.npz"
    data = open_data(path, views={"student": "view5", "teacher": "view0"}, validation=1 / 6)
    assert [len(data.part(name)) for name in ("train", "validation", "test")] == [1000, 200, 800]
    assert np.bincount(data.train.targets).tolist() == [100] * 10
    assert data.train.input_shapes == {"student": (6,), "teacher": (240,)}
    with pytest.raises(DataError, match="no array of labels"):
        open_data(shared_data / "glove" / "glove_twitter_25d.npz")


def test_samples_without_a_label_are_marked_by_a_number_or_an_empty_text(save):
    some = np.where(np.arange(50) % 2, -1, LABELS)
    texts = np.where(np.arange(50) % 2, "", np.array(list("abcde") * 10))
    for label in (some, texts):
        data = open_data(save(x=vectors(), label=label), validation=0.0, unlabelled="all")
        assert len(data.classes) == 5 and (data.unlabelled.ids % 2 == 1).all() and len(data.unlabelled) == 25
        assert all((part.ids % 2 == 0).all() for part in (data.train, data.test))


def test_samples_of_classes_that_are_not_wanted_do_not_come_back_without_their_label(save):
    some = np.where(np.arange(50) < 10, -1, LABELS)
    data = open_data(
        save(x=vectors(), label=some), classes=["1", "3"], validation=0.0, labels_per_class=2, unlabelled="all"
    )
    assert set(some[data.unlabelled.ids].tolist()) == {-1, 1, 3}
    assert (data.unlabelled.ids < 10).sum() == 10


def test_a_sample_without_a_label_cannot_be_tested_on(save):
    some = np.where(np.arange(50) == 45, -1, LABELS)
    with pytest.raises(DataError, match="row 45 is in test and has no label"):
        open_data(save(x=vectors(), label=some, train=np.arange(40), test=np.arange(40, 50)))


def test_labels_and_names_in_bytes(save):
    data = open_data(save(x=vectors(), label=np.array([b"b", b"a"] * 25)))
    assert data.classes == ["a", "b"] and (data.train.targets == 1 - data.train.ids % 2).all()
    assert open_data(save(x=vectors(), label=LABELS, class_names=np.array([*b"abcde"]).astype("S"))).classes[0] == "97"
    with pytest.raises(DataError, match="bytes that are not UTF-8 text"):
        open_data(save(x=vectors(), label=np.array([b"\xff", b"a"] * 25)))


def test_class_names_by_part_are_matched_by_name(save):
    given = {"x_train": vectors(), "y_train": LABELS, "x_test": vectors(), "y_test": LABELS}
    names = {"class_names_train": list("abcde"), "class_names_test": list("edcba")}
    data = open_data(save(**given, **names))
    assert data.classes == list("abcde") and (data.test.targets == 4 - LABELS).all()
    with pytest.raises(DataError, match="two classes of one name, 'a' and 'a'"):
        open_data(save(**given, class_names=list("abcda")))
    with pytest.raises(DataError, match="names the classes of the test part alone"):
        open_data(save(**given, class_names_test=list("edcba")))


def test_numbers_in_text_are_in_the_order_of_numbers(save):
    labels = np.array([str(k) for k in np.arange(60) % 12])
    assert open_data(save(x=vectors(60), label=labels)).classes == [str(k) for k in range(12)]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_test": vectors(d=5)}, r"'x' has shape \[4\] in the train part and \[5\] in test"),
        ({"y_test": LABELS[:49]}, "'x' has 50 rows for test and the labels have 49"),
        ({"y_test": LABELS.astype(str)}, "labels are text in the test part, as .0., and numbers in the train part"),
        ({"y_test": LABELS - 1}, "row 0: label -1 is out of range"),
        ({"y_train": LABELS * 0, "y_test": LABELS * 0}, "has one class, 0, among its training samples"),
        ({"y_train": np.where(LABELS, LABELS, np.inf)}, "label inf is no class number"),
        ({"y_train": LABELS * 1e300}, "label 1e.300 is no class number"),
        ({"y_train": LABELS.astype(np.uint64) + np.uint64(2**64 - 5)}, "labels go up to"),
        ({"y_test": np.arange(50) % 6}, r"test part, row 5: label 5 is of no training sample \(theirs are 0 to 4\)"),
        ({"y_train": LABELS + 1}, r"test part, row 0: label 0 is of no training sample \(theirs are 1 to 5\)"),
        (
            {"x_train": vectors().astype(int)},
            r"\(int64\) in the train part and fractions \(float64\) in test",
        ),
        ({"x_test": vectors().astype(np.int16)}, r"whole numbers \(int16\) in the test part and fractions"),
        ({"x_train": vectors(d=0), "x_test": vectors(d=0)}, r"row of shape \[0\] holds no number"),
    ],
)
def test_parts_that_do_not_fit(save, arrays, message):
    given = {"x_train": vectors(), "y_train": LABELS, "x_test": vectors(), "y_test": LABELS}
    with pytest.raises(DataError, match=message):
        open_data(save(**given | arrays))


def test_whole_numbers_of_two_types_are_the_same_numbers(save):
    whole = vectors().astype(np.int16)
    given = {"x_train": whole, "y_train": LABELS, "x_test": whole.astype(np.float32), "y_test": LABELS}
    data = open_data(save(**given))
    assert data.test is not None
    assert torch.equal(data.test.read(np.arange(50))["student"], torch.from_numpy(whole).float())


def test_floating_point_images_keep_what_they_are_or_are_refused(save):
    pixels = RNG.random((50, 4, 4))
    part = open_data(save(x=pixels, label=LABELS)).train
    read = part.read(np.arange(len(part)))["student"]
    assert torch.equal(read[:, 0], torch.from_numpy(pixels[part.ids].astype(np.float32)))
    for dtype in (np.float32, np.int64):
        with pytest.raises(DataError, match=r"pixels run from .* give uint8, or \[0, 1\]"):
            open_data(save(x=(pixels * 255).astype(dtype), label=LABELS))


def test_every_damage_is_an_error_that_names_the_file(save):
    path = save(x=vectors(), label=LABELS)
    content = path.read_bytes()
    for place in range(0, len(content), 41):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        with contextlib.suppress(DataError):
            open_data(path)
    np.save(path.with_suffix(".npy"), LABELS)
    path.with_suffix(".npy").rename(path)
    with pytest.raises(DataError, match=r"set\.npz holds a single array"):
        open_data(path)
