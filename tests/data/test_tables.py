"""Tables in files: which are found, what their columns are called, how their fields are read."""

import json

import pytest

from kantor.core.errors import DataError
from kantor.data import open_data
from kantor.data.tables import find_tables, opener_for

pa = pytest.importorskip("pyarrow")


def saved(folder, **parts: dict):
    """A data set as ``datasets`` saves it."""
    for part, columns in parts.items():
        (folder / part).mkdir(parents=True)
        table = pa.table(columns)
        file = str(folder / part / "data-00000-of-00001.arrow")
        with pa.OSFile(file, "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
        (folder / part / "state.json").write_text(json.dumps(state))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(parts)}))
    return folder


def names(found):
    return {part: [path.name for path in paths] for part, paths in found.items()}


def test_parts_are_files_by_their_names(tmp_path):
    for name in ("train.tsv", "dev.tsv", "sst_test.tsv", "README.md", "notes.tsv"):
        (tmp_path / name).write_text("a\t0\n")
    assert names(find_tables(tmp_path)) == {"train": ["train.tsv"], "dev": ["dev.tsv"], "sst_test": ["sst_test.tsv"]}
    assert names(find_tables(tmp_path / "notes.tsv")) == {"train": ["notes.tsv"]}
    for name in ("train.tsv", "dev.tsv", "sst_test.tsv"):
        (tmp_path / name).unlink()
    assert names(find_tables(tmp_path)) == {"train": ["notes.tsv"]}
    (tmp_path / "more.csv").write_text("a,0\n")
    with pytest.raises(DataError, match=r"more\.csv, notes\.tsv, and none is called train"):
        find_tables(tmp_path)


def test_shards_and_saved_data_sets(tmp_path):
    for number in (1, 0):
        (tmp_path / f"train-0000{number}-of-00002.jsonl").write_text('{"text": "a", "label": 0}\n')
    assert names(find_tables(tmp_path)) == {"train": ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"]}
    folder = saved(tmp_path / "saved", train={"text": ["a", "b"]}, test={"text": ["c"]})
    found = find_tables(folder)
    assert list(found) == ["train", "test"]
    table = opener_for(found["train"], [])(found["train"][0])
    assert table.read(columns=["text"]).column(0).to_pylist() == ["a", "b"]
    found["test"][0].unlink()
    with pytest.raises(DataError, match=r"lacks data-00000-of-00001\.arrow, which its state\.json names"):
        find_tables(folder)


def test_a_line_of_names_is_told_from_a_sample(tmp_path):
    def columns(content: str, *wanted: str, suffix: str = "tsv"):
        path = tmp_path / f"data.{suffix}"
        path.write_text(content)
        return opener_for([path], list(wanted))(path).schema_arrow.names

    assert columns("sentence\tlabel\nfine\t1\n") == ["sentence", "label"]
    assert columns("fine film\t1\ndull\t0\n") == ["1", "2"]
    assert columns("story\tstars\nfine\t1\ndull\t0\n") == ["story", "stars"]
    assert columns("story\tmood\nfine\tgood\n", "mood") == ["story", "mood"]
    assert columns("\ufeffsentence,label\nfine,1\n", suffix="csv") == ["sentence", "label"]


def test_quotes_belong_to_csv(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"one, and\ntwo",1\n')
    (tmp_path / "a.tsv").write_text('text\tlabel\n"half a quote\t1\n')
    for name, text in (("a.csv", "one, and\ntwo"), ("a.tsv", '"half a quote')):
        table = opener_for([tmp_path / name], [])(tmp_path / name)
        assert table.read(columns=["text"]).column(0).to_pylist() == [text]


def test_what_is_no_table(tmp_path):
    path = tmp_path / "a.jsonl"
    broken = {"{broken": "no file of JSON lines", "[1]\n": "holds no JSON objects", "": "holds no JSON objects"}
    for content, said in broken.items():
        path.write_text(content)
        with pytest.raises(DataError, match=rf"a\.jsonl .*{said}"):
            opener_for([path], [])(path)
    (tmp_path / "a.tsv").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"a\.tsv cannot be read.*UTF-8"):
        opener_for([tmp_path / "a.tsv"], [])


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("a.csv", "{a};{b};{label}", "separated by semicolons, and those of a .csv by commas"),
        ("comma.csv", "{a},5;{b},5;{label}", "separated by semicolons"),  # as where numbers have decimal commas
        ("a.csv", "{a}\t{b}\t{label}", "separated by tabs"),
        ("a.csv", "{a}|{b}|{label}", "separated by bars"),
        ("a.tsv", "{a},{b},{label}", "separated by commas, and those of a .tsv by tabs"),
        ("a.csv", "'{a}','{b}','{label}'", "stand in single quotes"),
    ],
)
def test_other_separators_and_quotes_are_named(tmp_path, name, line, says):
    head = line.replace(",5", "").format(a="a", b="b", label="label")
    rows = [line.format(a=row, b=2 * row, label="xy"[row % 2]) for row in range(8)]
    (tmp_path / name).write_text("\n".join([head, *rows]) + "\n")
    with pytest.raises(DataError, match=says):
        open_data(tmp_path / name)


def test_one_column_of_texts_with_commas_is_one_column(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("sentence\nwell, so\nfine\n, , and\n")
    assert opener_for([path], [])(path).schema_arrow.names == ["sentence"]


def test_a_field_of_any_length(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\n{'x' * 200_000},pos\n")
    assert len(opener_for([path], [])(path).read(["text"])["text"][0].as_py()) == 200_000


def test_a_quote_that_does_not_close_and_quotes_escaped_otherwise(tmp_path):
    path = tmp_path / "a.csv"
    for row in ('"never closed,pos\nmore,neg\n', '"a \\"b\\", c",pos\n'):
        path.write_text(f"text,label\n{row}")
        with pytest.raises(DataError, match='stands in "double quotes", with each quote in it twice'):
            opener_for([path], [])(path).read(["text"])
