"""Views: transforms of one image, columns, arrays, and what only the teacher sees."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from kantor.core.errors import ConfigError, DataError
from kantor.data import Augment, LayerSpec, Loader, TeacherCache, open_data
from kantor.data.store import InMemory
from kantor.data.transforms import Chrominance, Degraded, Luminance, Small, cielab, transform

RNG = np.random.default_rng(3)


def colours(n=6, size=8):
    return torch.from_numpy(RNG.random((n, 3, size, size), dtype=np.float32))


def test_cielab_of_known_colours():
    # White, black, mid grey, and the primaries: published values for D65 (Lindbloom's calculator).
    pixels = torch.tensor([[1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
    expected = [[100, 0, 0], [0, 0, 0], [53.39, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18]]
    expected.append([32.30, 79.19, -107.86])
    found = cielab(pixels.reshape(6, 3, 1, 1)).reshape(6, 3)
    torch.testing.assert_close(found, torch.tensor(expected), atol=0.05, rtol=0)


def test_luminance_and_chrominance_split_an_image():
    images, ids = colours(), np.arange(6)
    light, colour = Luminance()(images, ids), Chrominance()(images, ids)
    assert light.shape == (6, 1, 8, 8) and colour.shape == (6, 2, 8, 8)
    for view in (light, colour):
        assert view.min() >= 0 and view.max() <= 1
    grey = images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(Chrominance()(grey, ids), torch.full((6, 2, 8, 8), 128 / 255), atol=1e-4, rtol=0)
    with pytest.raises(ConfigError, match=r"colour images, and these have 1 channel"):
        Chrominance().shape((1, 8, 8))
    with pytest.raises(ConfigError, match="vectors of 5 numbers"):
        Luminance().shape((5,))


def test_degradation_is_a_function_of_the_sample_alone():
    images = colours()
    every = Degraded()(images, np.arange(6))
    assert torch.equal(every[4:], Degraded()(images[4:], np.array([4, 5])))
    assert not torch.equal(every[:1], Degraded()(images[:1], np.array([7])))
    # A blur keeps the mean (away from the rim) and takes away contrast; noise adds its own.
    flat = torch.full((2, 3, 8, 8), 0.5)
    torch.testing.assert_close(Degraded(noise=0.0, blur=2.0)(flat, np.arange(2)), flat)
    assert Degraded(noise=0.0, blur=1.0)(images, np.arange(6)).std() < 0.7 * images.std()
    assert Degraded(noise=0.1, blur=0.0)(flat, np.arange(2)).std().item() == pytest.approx(0.1, rel=0.2)
    assert torch.equal(Degraded(noise=0.0, blur=0.0)(images, np.arange(6)), images)


@pytest.mark.parametrize("view", ["luminance", "chrominance", "small@side=4", "degraded@noise=0@blur=1"])
def test_a_view_of_a_mirrored_image_is_the_mirrored_view(view, folder):
    part = open_data(folder, views={"student": view, "teacher": "image"}, image_size=8).train
    seen = part.read(np.arange(len(part)))
    of_mirror = part.stores["student"].of(seen["teacher"].flip(-1), part.rows)  # type: ignore[attr-defined]
    torch.testing.assert_close(seen["student"].flip(-1), of_mirror)


def test_both_views_are_mirrored_alike(folder):
    part = open_data(folder, views={"student": "small@side=4", "teacher": "luminance"}, image_size=8).train
    plain = next(Loader(part, 8, seed=0, augment=Augment.named("none"), shuffle=False).epoch(0))
    batch = next(Loader(part, 8, seed=0, augment=Augment.named("mirror"), shuffle=False).epoch(0))
    assert batch.views is not None and 0 < batch.views.sum() < 8
    for role in ("student", "teacher"):
        flipped = batch.views.bool()[:, None, None, None]
        expected = plain.inputs[role]
        assert isinstance(expected, torch.Tensor)
        assert torch.equal(batch.inputs[role], torch.where(flipped, expected.flip(-1), expected))


def test_two_transforms_of_one_image(folder):
    data = open_data(folder, views={"student": "chrominance", "teacher": "luminance"}, validation=0)
    assert data.train.input_shapes == {"student": (2, 5, 6), "teacher": (1, 5, 6)}
    assert data.facts()["views"] == {"student": "chrominance of image", "teacher": "luminance of image"}
    plain = open_data(folder, validation=0)
    assert (data.train.ids == plain.train.ids).all()
    assert data.train.colour and plain.train.colour
    images = plain.train.read(np.arange(len(plain.train)))["student"]
    seen = data.train.read(np.arange(len(data.train)))
    assert torch.equal(seen["teacher"], Luminance()(images, plain.train.ids))
    both = open_data(folder, views={"student": "small@side=4", "teacher": "small@side=4"})
    assert both.facts()["views"]["student"] == "small@side=4 of image"
    alike = both.train
    assert alike.stores["student"] is alike.stores["teacher"]


def test_noise_stays_with_the_sample_whatever_else_is_read(folder):
    views = {"student": "degraded", "teacher": "image"}
    every, few = (open_data(folder, views=views, train_limit=n, validation=0).train for n in (None, 6))
    rows = np.searchsorted(every.ids, few.ids)
    assert torch.equal(every.read(rows)["student"], few.read(np.arange(len(few)))["student"])


def test_the_teachers_cache_is_keyed_by_what_the_teacher_sees(folder, tmp_path):
    def missing(teacher, student):
        part = open_data(folder, views={"student": student, "teacher": teacher}, validation=0).train
        cache = TeacherCache.open(
            tmp_path / "cache", part=part, augment=Augment.named("none"), role="teacher", teacher="digest",
            layers={"logits": LayerSpec((1,))}, limit_bytes=1e9,
        )  # fmt: skip
        found = bool(cache.missing)
        cache.fill(lambda batch: {"logits": batch.inputs["teacher"].flatten(1).mean(1, keepdim=True)})
        return found

    assert missing("luminance", "chrominance")
    assert not missing("luminance", "small@side=3")
    assert missing("degraded@noise=0.1", "chrominance")
    assert missing("degraded@noise=0.2", "chrominance")
    assert not missing("degraded@blur=1.0", "image")  # the defaults, written out


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ("luminence", "no view 'luminence', asked for the student. Close to it: luminance"),
        ("nothing", "Its inputs are image; transforms of them are image, luminance, chrominance, small, degraded"),
        ("small@size=3", "View small has no setting 'size'. Close to it: side"),
        ("small@side=big", "the side is a number of pixels"),
        ("degraded@noise=-1", "a deviation is a number, 0 or more"),
        ("small@of=photo", "no input 'photo'"),
    ],
)
def test_views_that_are_not_there(view, message, folder):
    with pytest.raises(ConfigError, match=message):
        open_data(folder, views={"student": view, "teacher": "image"})


def test_an_array_goes_before_a_transform_and_several_need_of(tmp_path):
    pixels = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8)
    both = {"small": pixels, "photo": pixels[:, :4, :4], "label": np.arange(40) % 2}
    np.savez(tmp_path / "set.npz", **both)
    part = open_data(tmp_path / "set.npz", views={"student": "small", "teacher": "small@side=3@of=photo"}).train
    assert part.input_shapes == {"student": (1, 6, 6), "teacher": (1, 3, 3)}
    with pytest.raises(ConfigError, match=r"degraded of which input .*degraded@of=NAME: small, photo"):
        open_data(tmp_path / "set.npz", views={"student": "degraded", "teacher": "photo"})


def test_arrays_that_only_the_teacher_sees_and_only_in_training(tmp_path):
    arrays = {"a_train": RNG.random((30, 4)), "b_train": RNG.random((30, 7)), "y_train": np.arange(30) % 3}
    arrays |= {"a_test": RNG.random((12, 4)), "y_test": np.arange(12) % 3}
    np.savez(tmp_path / "set.npz", **arrays)
    data = open_data(tmp_path / "set.npz", views={"student": "a", "teacher": "b"})
    assert data.test is not None and data.test.input_shapes == {"student": (4,)}
    assert list(next(Loader(data.test, 4, seed=0, augment=Augment.named("none")).epoch(0)).inputs) == ["student"]
    assert data.facts()["training_only"] == "the teacher's view; test do without it"
    with pytest.raises(DataError, match="test part has no view for the teacher"):
        data.test.seen_by("teacher")
    with pytest.raises(DataError, match="'b', which the student sees, has no array for the test part"):
        open_data(tmp_path / "set.npz", views={"student": "b", "teacher": "a"})


class TestTeachersOfTheirOwn:
    """Views by the teachers' names."""

    @pytest.fixture
    def path(self, tmp_path):
        arrays = {"y_train": np.arange(30) % 3, "y_test": np.arange(12) % 3, "a_test": RNG.random((12, 4))}
        arrays |= {"a_train": RNG.random((30, 4)), "b_train": RNG.random((30, 7)), "c_train": RNG.random((30, 9))}
        np.savez(tmp_path / "set.npz", c_test=RNG.random((12, 9)), **arrays)
        return tmp_path / "set.npz"

    def test_each_sees_its_own_and_what_is_shared_is_read_once(self, path, monkeypatch):
        data = open_data(path, views={"student": "a", "mri": "b", "ct": "c", "pet": "b"})
        assert data.train.input_shapes == {"student": (4,), "mri": (7,), "ct": (9,), "pet": (7,)}
        assert [data.role_of(name) for name in ("mri", "ct", "other")] == ["mri", "ct", "other"]
        reads, read = [], InMemory.read
        monkeypatch.setattr(InMemory, "read", lambda store, rows: reads.append(store.shape) or read(store, rows))
        batch = next(Loader(data.train, 4, seed=0, augment=Augment.named("none")).epoch(0))
        assert sorted(reads) == [(4,), (7,), (9,)]
        assert batch.inputs["mri"] is batch.inputs["pet"]
        moved = batch.to("cpu")
        assert moved.inputs["mri"] is moved.inputs["pet"]

    def test_parts_that_lack_one(self, path):
        data = open_data(path, views={"student": "a", "mri": "b", "ct": "c"})
        assert data.test is not None and data.test.input_shapes == {"student": (4,), "ct": (9,)}
        assert data.facts()["training_only"] == "teacher mri's view; test do without it"
        with pytest.raises(DataError, match="test part has no view for teacher mri"):
            data.test.seen_by("mri")
        teachers = open_data(path, views={"mri": "b", "ct": "c"})
        assert teachers.test is not None and list(teachers.test.stores) == ["ct"]

    def test_a_cache_is_the_same_whatever_the_others_see(self, path, tmp_path):
        """What is kept of a teacher is found again where it is the only one, and where it is called otherwise."""

        def cache(role, **views):
            part = open_data(path, views=views).train.seen_by(role)
            layers = {"logits": LayerSpec((3,))}
            return TeacherCache.open(
                tmp_path / "cache", part=part, augment=Augment.named("none"), role="teacher", teacher="t",
                layers=layers, limit_bytes=1e6,
            )  # fmt: skip

        alone = cache("teacher", student="a", teacher="b")
        alone.fill(lambda batch: {"logits": batch.inputs["teacher"][:, :3]})
        assert not cache("mri", student="a", mri="b", ct="c").missing
        assert not cache("x", student="c", x="b").missing
        assert cache("ct", student="a", mri="b", ct="c").missing

    def test_refused(self, path):
        with pytest.raises(ConfigError, match="one for every teacher and one for mri: name each teacher's"):
            open_data(path, views={"student": "a", "teacher": "c", "mri": "b"})
        with pytest.raises(ConfigError, match="no view 'bb', asked for teacher mri"):
            open_data(path, views={"student": "a", "mri": "bb"})


def test_instances_that_are_numbered_must_pair_up(tmp_path):
    numbers = np.arange(20)
    arrays = {"a": RNG.random((20, 4)), "b": RNG.random((20, 7)), "y": numbers % 2, "a_ids": numbers, "b_ids": numbers}
    path, views = tmp_path / "set.npz", {"student": "a", "teacher": "b"}
    np.savez(path, **arrays)
    assert "ignored_arrays" not in open_data(path, views=views).facts()
    np.savez(path, **arrays | {"b_ids": np.roll(numbers, 1)})
    with pytest.raises(DataError, match=r"do not pair up. Row 0 is instance 0 in 'a' and 19 in 'b' \(20 such"):
        open_data(path, views=views)
    np.savez(path, **arrays | {"b": RNG.random((19, 7))})
    with pytest.raises(DataError, match="'b' has 19 rows for train and the labels have 20"):
        open_data(path, views=views)


class TestIds:
    """Numbers of instances that cannot say which rows pair up."""

    VIEWS: ClassVar = {"student": "a", "teacher": "b"}

    @pytest.fixture
    def save(self, tmp_path):
        def write(**ids):
            arrays = {"a": RNG.random((20, 4)), "b": RNG.random((20, 7)), "c": RNG.random((20, 2))}
            np.savez(tmp_path / "set.npz", y=np.arange(20) % 2, **arrays, **ids)
            return tmp_path / "set.npz"

        return write

    @pytest.mark.parametrize("kind", [np.int64, np.str_])
    def test_one_that_is_there_twice(self, save, kind):
        ids = np.arange(100, 120)
        ids[7] = 103
        path = save(a_ids=ids.astype(kind), b_ids=ids.astype(kind))
        match = r"array 'a_ids' has instance 103 more than once, in rows 3 and 7 \(1 rows too many\). Keep one row"
        with pytest.raises(DataError, match=match):
            open_data(path, views=self.VIEWS)
        with pytest.raises(DataError, match="array 'b_ids' has instance 103"):
            open_data(path, views=self.VIEWS | {"student": "b"})

    def test_for_one_view_alone(self, save):
        ids = np.arange(20)
        with pytest.raises(DataError, match=r"there is b_ids and no a_ids, .* Give ids for every view or for none"):
            open_data(save(b_ids=ids), views=self.VIEWS)
        with pytest.raises(DataError, match="there is a_ids and no b_ids or c_ids"):
            open_data(save(a_ids=ids), views={"student": "a", "mri": "b", "ct": "c"})
        # What nobody sees pairs up with nothing.
        open_data(save(c_ids=ids), views=self.VIEWS)
        open_data(save(a_ids=ids[:, None], b_ids=ids), views=self.VIEWS)
        open_data(save(a_ids=ids), views={"student": "a", "teacher": "a"})
        open_data(save(a_ids=RNG.random((20, 5))), views=self.VIEWS)  # vectors: a view, and no numbers

    def test_fewer_than_rows(self, save):
        ids = np.arange(19)
        with pytest.raises(DataError, match=r"array 'a_ids' has 19 ids for 20 rows. Give every row one"):
            open_data(save(a_ids=ids, b_ids=ids), views=self.VIEWS)

    def test_in_a_part_that_only_the_student_has(self, tmp_path):
        arrays = {"a_train": RNG.random((20, 4)), "b_train": RNG.random((20, 7)), "y_train": np.arange(20) % 2}
        arrays |= {"a_test": RNG.random((8, 4)), "y_test": np.arange(8) % 2, "a_ids_test": np.arange(8)}
        ids, path = {"a_ids_train": np.arange(20), "b_ids_train": np.arange(20)}, tmp_path / "set.npz"
        np.savez(path, **arrays, **ids)
        open_data(path, views=self.VIEWS)
        del ids["b_ids_train"]
        np.savez(path, **arrays, **ids)
        with pytest.raises(DataError, match=r"train part: there is a_ids and no b_ids"):
            open_data(path, views=self.VIEWS)


class TestColumns:
    """Views that are columns of a parquet file."""

    @pytest.fixture
    def table(self, tmp_path, image_bytes):
        pa = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")

        def write(**changes):
            for part, n in (("train", 20), ("test", 8)):
                columns = {
                    "photo": [image_bytes(k) for k in range(n)],
                    "drawing": [image_bytes(100 + k, size=(4, 4)) for k in range(n)],
                    "vector": [[float(k), 1.0, 2.0] for k in range(n)],
                    "sensor_a": [0.5 * k for k in range(n)],
                    "sensor_b": list(range(n)),
                    "label": [k % 2 for k in range(n)],
                }
                change = changes.get(part, {})
                columns = {key: change.get(key, values) for key, values in columns.items()}
                parquet.write_table(
                    pa.table({k: v for k, v in columns.items() if v is not None}), tmp_path / f"{part}.parquet"
                )
            return tmp_path

        return write

    def test_images_lists_and_patterns(self, table):
        data = open_data(table(), views={"student": "drawing", "teacher": "photo"}, validation=0)
        assert data.train.input_shapes == {"student": (3, 4, 4), "teacher": (3, 5, 6)}
        data = open_data(table(), views={"student": "sensor_*", "teacher": "vector"}, validation=0, train_limit=10)
        seen = data.train.read(np.arange(10))
        assert seen["student"][:, 1].tolist() == data.train.ids.tolist() == seen["teacher"][:, 0].tolist()
        data = open_data(table(), views={"student": "sensor_b", "teacher": "small@side=2@of=photo"}, train_limit=10)
        assert data.train.input_shapes == {"student": (1,), "teacher": (3, 2, 2)}
        seen = data.train.read(np.arange(len(data.train)))
        assert seen["student"][:, 0].tolist() == data.train.ids.tolist()
        whole = open_data(table(), views={"student": "photo", "teacher": "small@side=2@of=photo"}, validation=0).train
        assert torch.equal(seen["teacher"], whole.read(np.searchsorted(whole.ids, data.train.ids))["teacher"])

    def test_a_column_that_the_test_part_lacks(self, table):
        without = table(test={"vector": None})
        data = open_data(without, views={"student": "photo", "teacher": "vector"})
        assert data.test is not None and list(data.test.stores) == ["student"]
        with pytest.raises(DataError, match="no column 'vector', which the student sees"):
            open_data(without, views={"student": "vector", "teacher": "photo"})

    @pytest.mark.parametrize(
        ("column", "values", "message"),
        [
            ("vector", [[1.0]] * 19 + [[1.0, 2.0]], "not all of one length"),
            ("sensor_a", [None] + [1.0] * 19, "row 0: sensor_a hold a value that is missing"),
        ],
    )
    def test_rows_without_a_view(self, table, column, values, message):
        with pytest.raises(DataError, match=message):
            open_data(table(train={column: values}), views={"student": column, "teacher": "photo"})

    def test_a_damaged_image_of_one_view_takes_the_sample_along(self, table, image_bytes):
        damaged = [b"no image" if k == 3 else image_bytes(k) for k in range(20)]
        views = {"student": "drawing", "teacher": "photo"}
        with pytest.raises(DataError, match="row 3"):
            open_data(table(train={"photo": damaged}), views=views)
        data = open_data(table(train={"photo": damaged}), views=views, skip_corrupt=True, validation=0)
        assert 3 not in data.train.ids and len(data.train) == 19
        clean = open_data(table(), views=views, validation=0).train
        kept = clean.read(np.searchsorted(clean.ids, data.train.ids))
        assert all(torch.equal(kept[role], x) for role, x in data.train.read(np.arange(19)).items())


def test_data_without_labels(tmp_path, image_bytes):
    place = tmp_path / "photos"
    place.mkdir()
    for k in range(10):
        (place / f"{k}.png").write_bytes(image_bytes(k))
    with pytest.raises(DataError, match=r"in no class folder.*Only --task none"):
        open_data(place)
    data = open_data(place, need_labels=False)
    assert not data.train.labelled and data.facts()["classes"] == 0 and data.facts()["labels"] == "the data has none"
    assert [len(data.part(name)) for name in ("train", "validation", "test")] == [7, 1, 2]
    assert next(Loader(data.train, 4, seed=0, augment=Augment.named("none")).epoch(0)).targets is None
    (place / "cat").mkdir()
    (place / "cat" / "1.png").write_bytes(image_bytes(11))
    with pytest.raises(DataError, match="in no class folder"):
        open_data(place, need_labels=False)
    np.savez(tmp_path / "x.npz", a=RNG.random((20, 3)), b=RNG.random((20, 2)))
    data = open_data(tmp_path / "x.npz", need_labels=False, views={"student": "a", "teacher": "b"})
    assert not data.train.labelled and not data.test.labelled  # type: ignore[union-attr]
    assert open_data("digits", need_labels=False).train.labelled


def test_small_is_what_the_name_says():
    with pytest.raises(ConfigError, match="1 or more"):
        Small(side=0)
    assert Small(side=3)(colours(), np.arange(6)).shape == (6, 3, 3, 3)


BOMB = "[&a [1,2],&b [" + "*a," * 99 + "],&c [" + "*b," * 99 + "],[" + "*c," * 99 + "]]"


@pytest.mark.parametrize("value", [BOMB, "[" * 5000, "{a: " * 500, "*a", "!!python/object/apply:os.system [ls]", "["])
def test_a_setting_that_no_person_writes_is_refused_at_once(value):
    with pytest.raises(ConfigError, match="a setting's value is a number"):
        transform("small", {"side": value})
