"""Tables of numbers, whatever file they are in."""

import json

import numpy as np
import pytest

import kantor
from kantor.cli import main
from kantor.core.errors import DataError
from kantor.data import open_data
from kantor.data.column_source import holds_numbers, read_columns

pytest.importorskip("pyarrow", reason="tables are read by pyarrow")

X = np.random.default_rng(0).normal(size=(30, 2)).round(3)


def rows(label, of=range(30)):
    return [[*map(str, X[row]), str(label(row))] for row in of]


def write(path, body, names="a,b,y", separator=","):
    lines = [names.replace(",", separator)] if names else []
    path.write_text("\n".join([*lines, *(separator.join(row) for row in body)]) + "\n")
    return path


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("tsv", "\t")])
def test_all_columns_but_the_label_are_a_vector(tmp_path, ending, separator):
    data = open_data(write(tmp_path / f"t.{ending}", rows(lambda row: row % 3), separator=separator), validation=0)
    assert (data.classes, data.train.input_shapes["student"]) == (["0", "1", "2"], (2,))
    seen = data.train.read(np.arange(len(data.train)))["student"].numpy()
    np.testing.assert_array_equal(seen, X[data.train.ids].astype(np.float32))
    np.testing.assert_array_equal(data.train.targets, data.train.ids % 3)


def test_names_for_classes_and_a_label_of_ones_own_name(tmp_path):
    path = write(tmp_path / "t.csv", rows(lambda row: ["low", "high"][row % 2]), "a,b,level")
    assert open_data(path, label="level").classes == ["high", "low"]
    with pytest.raises(DataError, match="no column of labels"):
        open_data(write(tmp_path / "u.csv", rows(lambda row: row % 2), "a,b,level"))
    with pytest.raises(DataError, match=r"no column 'lvel', which --label names"):
        open_data(path, label="lvel")


def test_numbers_and_several_labels_are_columns_too(tmp_path):
    path = write(tmp_path / "t.csv", rows(lambda row: X[row, 0] * 2))
    data = open_data(path, kind="numbers", validation=0)
    np.testing.assert_allclose(data.train.targets, 2 * X[data.train.ids, 0], rtol=1e-6)
    two = [[*row, str(number % 2)] for number, row in enumerate(rows(lambda row: (row // 2) % 2))]
    both = write(tmp_path / "b.csv", two, "a,b,y_one,y_two")
    data = open_data(both, label="y_*", kind="several")
    assert (data.classes, data.train.input_shapes["student"]) == (["y_one", "y_two"], (2,))


def test_without_a_line_of_names_columns_have_numbers(tmp_path):
    data = open_data(write(tmp_path / "t.csv", rows(lambda row: row % 2), names=""), label="3", validation=0)
    assert data.train.samples == 30
    assert data.train.input_shapes["student"] == (2,)


def test_views_name_columns_as_they_do_in_parquet(tmp_path):
    path = write(tmp_path / "t.csv", [["s" + row[0], *row] for row in rows(lambda row: row % 2)], "name,a,b,y")
    data = open_data(path, views={"student": "a", "teacher": "*"})
    assert data.train.input_shapes == {"student": (1,), "teacher": (2,)}


def test_json_lines_and_parts(tmp_path):
    for part, of in (("train", range(20)), ("test", range(20, 30))):
        lines = [json.dumps({"a": X[row, 0], "b": X[row, 1], "label": row % 2}) for row in of]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
    data = open_data(tmp_path, validation=0)
    assert (len(data.train), len(data.part("test"))) == (20, 10)
    assert data.train.input_shapes["student"] == (2,)


def test_parquet_without_images_needs_no_views_where_all_is_numbers(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"a": X[:, 0], "b": X[:, 1], "id": [f"s{row}" for row in range(30)], "label": np.arange(30) % 2}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    data = open_data(tmp_path / "t.parquet")
    assert data.train.input_shapes["student"] == (2,)
    assert data.facts()["ignored_columns"] == ["id"]


def test_texts_are_texts_still(tmp_path):
    path = write(tmp_path / "t.csv", [["words", "1.5", "0"], ["more", "2.5", "1"]], "remark,a,y")
    assert not holds_numbers(path, None, None)
    assert holds_numbers(path, None, {"student": "a"})
    with pytest.raises(kantor.KantorError, match=r"no column of texts.*--text, or columns of numbers with --views"):
        open_data(path, tokenizers={"student": object()})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("body", "names", "says"),
    [
        ([["1.5", "", "0"], ["2.5", "1", "1"]], "a,b,y", "row 0.*missing or not finite"),
        ([["1", "2", "0"], ["2", "3", "1"]], "a,a,y", "the column 'a' more than once"),
        ([["1", "2"], ["2", "3", "1"]], "a,b,y", "as many fields"),
        ([], "a,b,y", "no rows|holds no"),
    ],
)
def test_damage_is_said(tmp_path, body, names, says):
    with pytest.raises(DataError, match=says):
        read_columns(write(tmp_path / "t.csv", body, names), None, "y", True)


def test_through_the_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.csv", rows(lambda row: int(X[row, 0] > 0)))
    few = ["--seeds=1", "--epochs=1", "--jobs=1", "--batch-size=8"]
    assert (
        main(["distill", "--data=t.csv", "--label=y", "--student=mlp@hidden=4", "--methods=none", *few, "--out=r"]) == 0
    )
    capsys.readouterr()
    assert main(["evaluate", "r/none/seed-0", "--data=t.csv"]) == 0
    assert "test samples right" in capsys.readouterr().out
