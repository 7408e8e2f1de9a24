import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from kantor.core.errors import DataError
from kantor.data import open_data


@pytest.fixture
def write(tmp_path, image_bytes):
    def write(name="train.parquet", n=12, *, names=("cat", "dog"), labels=None, plain=False, first=0, label="label"):
        content = [image_bytes(first + i) for i in range(n)]
        labels = [i % 2 for i in range(n)] if labels is None else labels
        images = content if plain else [{"bytes": c, "path": f"{i}.png"} for i, c in enumerate(content)]
        table = pa.table({"image": pa.array(images), label: pa.array(labels)})
        if names is not None:
            features = {"image": {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=5)
        return tmp_path / "set"

    return write


def test_names_parts_and_pixels(write):
    write("test.parquet", 6, first=50)
    data = open_data(write(), validation=0.0)
    assert data.classes == ["cat", "dog"]
    assert data.test is not None and len(data.train) == 12 and len(data.test) == 6
    write("test.parquet", 6, first=50, names=None)
    plain = open_data(write(plain=True, names=None), validation=0.0)
    assert plain.classes == ["0", "1"]
    assert plain.train.fingerprint == data.train.fingerprint
    assert data.facts()["files"] == {"train": ["train.parquet"], "test": ["test.parquet"]}


def test_a_limit_reads_the_same_samples(write):
    write("test.parquet", 6)
    whole, few = open_data(write(), validation=0.0), open_data(write(), validation=0.0, train_limit=5)
    assert len(few.train) == 5 and few.train.samples == 12
    assert torch.equal(few.train.read(np.arange(5))["student"], whole.train.read(few.train.ids)["student"])


def test_shards_are_one_part_in_order(write):
    whole = open_data(write(n=14), validation=0.0, image_size=5)
    (write() / "train.parquet").unlink()
    write("data/train-00001-of-00002.parquet", 6, first=8)
    folder = write("data/train-00000-of-00002.parquet", 8)
    sharded = open_data(folder, validation=0.0, image_size=5)
    assert sharded.train.fingerprint == whole.train.fingerprint
    few = open_data(folder, validation=0.0, image_size=5, train_limit=6)
    among = np.searchsorted(whole.train.ids, few.train.ids)
    assert torch.equal(few.train.read(np.arange(6))["student"], whole.train.read(among)["student"])
    (write("data/train-00000-of-00002.parquet", 8) / "data/train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match="1 of 2 files of train are missing"):
        open_data(write("data/train-00000-of-00002.parquet", 8))


def test_validation_parts(write):
    write("validation.parquet", 4)
    data = open_data(write())
    assert data.test is not None and len(data.test) == 4 and "validation is the test part" in data.facts()["test"]
    data = open_data(write("test.parquet", 6))
    assert data.validation is not None and len(data.validation) == 4 and len(data.train) == 12


def test_labels_out_of_range_name_file_and_row(write):
    folder = write(labels=[0, 1] * 5 + [2, 0])
    with pytest.raises(DataError, match=r"train\.parquet, row 10: label 2 is out of range.*0 to 1"):
        open_data(folder)
    write()
    with pytest.raises(DataError, match=r"test\.parquet, row 0: label -1 is out of range.*training part alone"):
        open_data(write("test.parquet", 2, labels=[-1, -1]))
    with pytest.raises(DataError, match="1 labels are missing"):
        open_data(write("test.parquet", 2, labels=[0, None]))


def test_text_labels_and_other_columns(write):
    data = open_data(write(labels=["b", "a"] * 6, names=None, label="species"), label="species")
    assert data.classes == ["a", "b"]
    with pytest.raises(DataError, match=r"no column 'genus'.*species"):
        open_data(write(names=None, label="species"), label="genus")
    with pytest.raises(DataError, match=r"no column of labels.*species.*--label"):
        open_data(write(names=None, label="species"))


def test_a_corrupt_row_is_named(write, tmp_path, image_bytes):
    folder = write()
    table = pa.table({"image": [image_bytes(0), b"junk", image_bytes(2), None], "label": [0, 1, 0, 1]})
    pq.write_table(table, folder / "train.parquet")
    with pytest.raises(DataError, match=r"train\.parquet, row 1 .*train\.parquet, row 3 \(the row holds no bytes\)"):
        open_data(folder)


def test_damaged_files_and_missing_columns(write):
    folder = write()
    pq.write_table(pa.table({"words": ["a"], "label": [0]}), folder / "train.parquet")
    with pytest.raises(DataError, match=r"no column of images.*words \(string\)"):
        open_data(folder)
    (folder / "train.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"train\.parquet cannot be read as parquet"):
        open_data(folder)
    (folder / "train.parquet").rename(folder / "test.parquet")
    with pytest.raises(DataError, match="has test and no train"):
        open_data(folder)


def test_cifar10(shared_data):
    data = open_data(shared_data / "cifar10", train_limit=200)
    assert data.classes[:3] == ["airplane", "automobile", "bird"]
    assert data.test is not None and len(data.test) == 10000
    assert np.bincount(data.test.targets).tolist() == [1000] * 10
    assert np.bincount(data.train.targets).tolist() == [18] * 10
    assert data.train.samples == 50000 and data.train.input_shapes["teacher"] == (3, 32, 32)
    pixels = data.test.read(np.arange(10000))["student"]
    # The test images' mean colour, as published for CIFAR-10 (0.4942, 0.4851, 0.4504).
    assert pixels.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.4942, 0.4851, 0.4504], abs=2e-3)


def test_fashion_mnist_is_grey(shared_data):
    data = open_data(shared_data / "fashion_mnist", train_limit=100)
    assert data.train.input_shapes["student"] == (1, 28, 28)
    assert data.classes[0] == "T-shirt/top"


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([0, 1, None, 1] * 3, ("cat", "dog")),
        (["b", "a", None, "a"] * 3, None),
        ([0, 1, -1, 1] * 3, None),
        (pa.array([0, 1, None, 1] * 3, pa.uint8()), None),
        (pa.array([False, True, None, True] * 3), None),
        (pa.array(["b", "a", None, "a"] * 3).dictionary_encode(), None),
    ],
)
def test_training_samples_may_lack_a_label(write, labels, names):
    data = open_data(write(labels=labels, names=names), validation=0.0, unlabelled="all")
    assert data.unlabelled is not None and data.unlabelled.ids.tolist() == [2, 6, 10]
    assert len(data.classes) == 2 and not np.isin(data.train.ids, [2, 6, 10]).any()
    plain = open_data(write(labels=labels, names=names), validation=0.0)
    assert plain.train.fingerprint == data.train.fingerprint
    assert "3 training samples, left out" in plain.facts()["without a label"]


def test_class_names_in_another_order_are_matched_by_name(write):
    write("test.parquet", 6, names=("dog", "cat"), labels=[0, 0, 1, 1, 1, 1], first=50)
    data = open_data(write(), validation=0.0)
    assert data.classes == ["cat", "dog"] and np.bincount(data.test.targets).tolist() == [4, 2]
    write("test.parquet", 6, names=("dog", "emu"), labels=[0, 0, 1, 1, 1, 1])
    with pytest.raises(DataError, match=r"test\.parquet, row 2: class 'emu' is not among the training classes"):
        open_data(write())
    write("test.parquet", 6, names=None)
    with pytest.raises(DataError, match=r"test\.parquet does not name its classes, and another file of the data names"):
        open_data(write())


def test_class_names_in_another_order_in_one_shard(write):
    write("train-00000-of-00002.parquet", 4, labels=[0, 0, 0, 1])
    folder = write("train-00001-of-00002.parquet", 4, names=("dog", "cat"), labels=[0, 0, 0, 1])
    data = open_data(folder, validation=0.0)
    everything = np.concatenate([data.train.targets, data.test.targets])
    assert sorted(everything.tolist()) == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "cat"], "two classes of one name, 'cat' and 'cat'"),
        ("cat", "no list of names, but cat"),
        ([["cat"], ["dog"]], "no list of names"),
        ({"0": "cat", "2": "dog"}, "no list of names"),
    ],
)
def test_odd_class_names(write, names, message):
    folder = write(names=None)
    table = pq.read_table(folder / "train.parquet")
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, folder / "train.parquet")
    with pytest.raises(DataError, match=message):
        open_data(folder)


@pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"info": {"features": []}}', b"[" * 100_000, b"\xff"])
def test_odd_metadata_says_nothing(write, metadata):
    folder = write(names=None)
    table = pq.read_table(folder / "train.parquet").replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, folder / "train.parquet")
    assert open_data(folder).classes == ["0", "1"]


def test_bytes_are_labels_in_text(write):
    assert open_data(write(labels=[b"b", b"a"] * 6, names=None)).classes == ["a", "b"]
    with pytest.raises(DataError, match="bytes that are not UTF-8"):
        open_data(write(labels=[b"\xff", b"a"] * 6, names=None))
    with pytest.raises(DataError, match="one class number or name per row"):
        open_data(write(labels=[[0, 1], [1]] * 6, names=None))


def test_labels_of_another_type_in_another_file(write):
    write("train-00000-of-00002.parquet", 4, names=None)
    folder = write("train-00001-of-00002.parquet", 4, names=None, labels=["0", "1", "0", "1"])
    with pytest.raises(DataError, match=r"Labels are text in one of .*train-00000.* and .*train-00001"):
        open_data(folder)


def test_labels_of_another_type_in_another_part_and_labels_that_are_all_missing(write):
    write("test.parquet", 4, names=None, labels=["cat", "dog", "cat", "dog"])
    with pytest.raises(DataError, match=r"test.*labels are text in the test part, as 'cat', and numbers in the train"):
        open_data(write())
    (write() / "test.parquet").unlink()
    with pytest.raises(DataError, match="leaves no sample to train on: none has a label"):
        open_data(write(labels=pa.array([None] * 12, pa.int64())))


def test_two_columns_of_one_name(tmp_path):
    number = pa.array([0.0, 1.0] * 6)
    table = pa.Table.from_arrays([number, number, pa.array([0, 1] * 6)], names=["a", "a", "label"])
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(DataError, match="the column 'a' more than once"):
        open_data(tmp_path)


def test_columns_in_another_order_are_read_by_name(tmp_path):
    columns = {"a_1": [0.0, 1.0, 2.0, 3.0], "a_2": [10.0, 11.0, 12.0, 13.0], "label": [0, 1, 0, 1]}
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    pq.write_table(pa.table(dict(reversed(columns.items()))), tmp_path / "test.parquet")
    views = {"student": "a_*", "teacher": "a_*"}
    data = open_data(tmp_path, views=views, validation=0.0)
    assert torch.equal(data.test.read(np.arange(4))["student"], data.train.read(np.arange(4))["student"])
    pq.write_table(pa.table({**columns, "a_3": columns["a_1"]}), tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"test\.parquet has other columns for 'a_\*': test\.parquet alone has a_3"):
        open_data(tmp_path, views=views)
    pq.write_table(pa.table({**columns, "a_2": [[1.0]] * 4}), tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"a_2"):
        open_data(tmp_path, views={"student": "a_2", "teacher": "a_2"})


def test_images_as_bytes_in_one_part_and_structs_in_another(write):
    write("test.parquet", 6, first=50, plain=True)
    assert len(open_data(write()).test) == 6


def test_sets_of_files_that_do_not_belong_together(write):
    write("train-00000-of-00001.parquet")
    with pytest.raises(DataError, match="no single set of files of train"):
        open_data(write("train-00000-of-00002.parquet"))


def test_empty_parts_and_other_files(write):
    with pytest.raises(DataError, match=r"train\.parquet: the train part has no rows"):
        open_data(write(n=0))
    write()
    with pytest.raises(DataError, match=r"test\.parquet: the test part has no rows"):
        open_data(write("test.parquet", 0))
    write("test.parquet", 4)
    assert open_data(write("testing.parquet", 4)).facts()["ignored_files"] == ["testing.parquet"]


def test_a_damaged_page_is_named(write):
    folder = write()
    path = folder / "train.parquet"
    content, said = bytearray(path.read_bytes()), set()
    for place in range(4, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            open_data(folder, skip_corrupt=True)
        except DataError as error:
            said.add("damaged" in str(error) or "cannot be read as parquet" in str(error))
    assert True in said
