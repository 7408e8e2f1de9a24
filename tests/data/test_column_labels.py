import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kantor.core.errors import DataError
from kantor.data import open_data

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
TOKENS = [[1, 2, 0, -100], [0, 0, 2, 1]] * 6
VIEWS = {"student": "x", "teacher": "x"}


@pytest.fixture
def write(tmp_path):
    def write(part="train", **columns):
        pq.write_table(pa.table({"x": list(X), **columns}), tmp_path / f"{part}.parquet")
        return tmp_path

    return write


def opened(place, **settings):
    return open_data(place, views=VIEWS, validation=0.0, **settings)


def test_a_column_of_numbers_and_several_beside_one_another(write):
    numbers = np.linspace(-1, 1, 12)
    write("test", target=numbers, y_a=numbers, y_b=2 * numbers)
    place = write(target=numbers, y_a=numbers, y_b=2 * numbers)
    one = opened(place, kind="numbers")
    np.testing.assert_allclose(one.train.targets, numbers, rtol=1e-6)
    assert one.classes == ["0"] and one.kind == "numbers" and one.train.input_shapes["student"] == (3,)
    for label in ("y_a,y_b", "y_*"):
        two = opened(place, kind="numbers", label=label)
        np.testing.assert_allclose(two.train.targets, np.stack([numbers, 2 * numbers], 1), rtol=1e-6)
        assert two.classes == ["y_a", "y_b"]


def test_several_labels_are_columns_or_a_list_and_maps_a_list_a_row(write):
    rows = np.eye(4, dtype=int)[np.arange(12) % 4]
    place = write(labels=rows.tolist(), red=rows[:, 0].astype(bool), blue=rows[:, 1])
    listed = opened(place, kind="several")
    assert (listed.train.targets == rows[listed.train.ids]).all() and listed.train.targets.dtype == np.float32
    named = opened(place, kind="several", label="red,blue")
    assert named.classes == ["red", "blue"] and (named.train.targets == rows[named.train.ids, :2]).all()
    tags = opened(write(labels=TOKENS), kind="maps")
    assert (
        tags.classes == ["0", "1", "2"] and tags.train.targets.tolist() == np.asarray(TOKENS)[tags.train.ids].tolist()
    )


def test_a_number_that_is_missing_in_training_is_no_label(write):
    numbers = [None, *np.arange(11.0)]
    write("test", target=np.arange(12.0))
    data = opened(write(target=numbers), kind="numbers", unlabelled="all")
    assert len(data.train) == 11 and data.unlabelled.ids.tolist() == [0]


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({"target": ["a"] * 12}, {}, r"row 0: column 'target' holds 'a'.*are numbers. Name another with --label"),
        ({"target": [1.0] * 12}, {"label": "y"}, r"no column 'y', which --label names. It has: x.*target"),
        ({"other": [1.0] * 12}, {}, r"no column of labels. It has: x.*other.*--label"),
        ({"target": [[1], [1, 2]] * 6}, {"kind": "several"}, r"have 1 to 2 entries.*Fill them up, with -100"),
        ({"target": [[1, 2]] * 12, "y": [1] * 12}, {"label": "target,y"}, r"each holds a number a row.*hold lists"),
        ({"target": [0.5, 2.5] * 6}, {"kind": "maps"}, r"are not class numbers at every place"),
    ],
)
def test_what_is_no_label_of_the_kind_is_said_by_file_and_row(write, columns, settings, message):
    with pytest.raises(DataError, match=message):
        opened(write(**columns), **{"kind": "numbers", **settings})


def test_a_part_without_the_column_is_named(write):
    write("test", other=np.arange(12.0))
    with pytest.raises(DataError, match=r"test.parquet has no column 'target', which its siblings have"):
        opened(write(target=np.arange(12.0)), kind="numbers")
