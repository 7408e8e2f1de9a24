"""Texts and their labels out of tables, opened as data."""

import json

import numpy as np
import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.data import Augment, Loader, Stream, open_data
from kantor.data.tokenizer import Learned, Tokenizer
from tests.data.test_tables import saved
from tests.study.texts import sentences, write_tsv

pytest.importorskip("tokenizers", reason="needs the extra text")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

OF = Learned(320, 16)
SEEN = {"student": OF, "teacher": OF}


def opened(path, **settings):
    return open_data(path, tokenizers={**SEEN}, **settings)


def rows(samples: int = 30) -> dict[str, list]:
    texts, labels = zip(*sentences(samples, 0), strict=True)
    return {"sentence": list(texts), "label": list(labels)}


def test_every_format_holds_the_same(tmp_path):
    columns = rows()
    (tmp_path / "a.csv").write_text("sentence,label\n" + "".join(f"{s},{y}\n" for s, y in sentences(30, 0)))
    (tmp_path / "a.tsv").write_text("".join(f"{s}\t{y}\n" for s, y in sentences(30, 0)))
    lines = [json.dumps({"sentence": s, "label": y, "more": {"a": 1}}) for s, y in sentences(30, 0)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    files = [tmp_path / f"a.{ending}" for ending in ("csv", "tsv", "jsonl", "parquet")]
    found = [opened(file) for file in [*files, saved(tmp_path / "saved", train=columns)]]
    assert len({data.train.fingerprint for data in found}) == 1
    assert len({data.test.fingerprint for data in found}) == 1
    assert found[0].classes == ["0", "1"]
    assert found[0].train.input_shapes == {"student": (16, found[0].train.tokenizers["student"].vocabulary)} | {
        "teacher": found[0].train.input_shapes["student"]
    }


def test_parts_and_benchmarks_without_labels_in_their_test(tmp_path):
    folder = write_tsv(tmp_path / "films")
    assert {name: part["samples"] for name, part in opened(folder).facts()["parts"].items()} == {
        "train": 60,
        "validation": 20,
        "test": 20,
    }
    (folder / "test.tsv").write_text("sentence\tlabel\n" + "".join(f"{s}\t-1\n" for s, _ in sentences(9, 5)))
    without = opened(folder)
    assert without.notes["left out"] == "test: no row has a label"
    assert len(without.test) == 20
    numbered = "".join(f"{k}\t{s}\n" for k, (s, _) in enumerate(sentences(9, 5)))
    (folder / "test.tsv").write_text(f"index\tsentence\n{numbered}")
    assert opened(folder).notes["left out"] == "test: no row has a label"


def test_a_label_that_is_missing_outside_training(tmp_path):
    folder = write_tsv(tmp_path / "films")
    (folder / "dev.tsv").write_text("sentence\tlabel\nfine\t1\nslow\t\n")
    with pytest.raises(DataError, match=r"dev\.tsv, row 1: the label is missing \(1 such rows\)"):
        opened(folder)


def test_names_of_classes_and_rows_without_a_label(tmp_path):
    words = ["good" if y else "bad" for _, y in sentences(30, 0)]
    text = [s for s, _ in sentences(30, 0)]
    pq.write_table(pa.table({"text": text, "mood": [None, None, *words[2:]]}), tmp_path / "a.parquet")
    data = opened(tmp_path / "a.parquet", label="mood", unlabelled="all")
    assert data.classes == ["bad", "good"]
    assert len(data.unlabelled) == 2


def test_two_tokenizers_are_two_views_of_one_text(tmp_path):
    write_tsv(tmp_path / "films")
    other = Learned(300, 8)
    data = open_data(tmp_path / "films", tokenizers={"student": OF, "teacher": other})
    batch = next(Loader(data.train, 8, seed=0, augment=Augment.named("none")).epoch(0))
    assert batch.inputs["student"]["input_ids"].shape[1] <= 16
    assert batch.inputs["teacher"]["input_ids"].shape[1] <= 8
    assert "tokens (teacher)" in data.notes
    ends = [batch.inputs[role]["token_ends"] for role in ("student", "teacher")]
    assert [tuple(x.shape) for x in ends] == [tuple(batch.inputs[r]["input_ids"].shape) for r in ("student", "teacher")]
    same = opened(tmp_path / "films")
    batch = next(Loader(same.train, 8, seed=0, augment=Augment.named("none")).epoch(0))
    assert batch.inputs["student"] is batch.inputs["teacher"]
    assert set(batch.inputs["student"]) == {"input_ids", "attention_mask"}
    assert len({data.train.seen_by(role).fingerprint for role in ("student", "teacher")}) == 2


def test_a_tokenizer_is_learned_from_all_training_text_whatever_is_kept(tmp_path):
    write_tsv(tmp_path / "films")
    found = [open_data(tmp_path / "films", tokenizers={"student": Learned(400, 16), "teacher": OF}, train_limit=limit)
             for limit in (None, 10)]  # fmt: skip
    assert found[0].train.tokenizers["student"] == found[1].train.tokenizers["student"]
    assert isinstance(found[0].train.tokenizers["student"], Tokenizer)


def test_samples_without_labels_come_beside_a_batch(tmp_path):
    write_tsv(tmp_path / "films")
    data = opened(tmp_path / "films", train_limit=20, unlabelled=30)
    loader = Loader(data.train, 4, seed=0, augment=Augment.named("none"), beside=Stream(data.unlabelled, 6, 0))
    batch = next(loader.epoch(0))
    ids, mask = (batch.inputs["student"][name] for name in ("input_ids", "attention_mask"))
    assert ids.shape == mask.shape == (10, int(mask.sum(1).max()))
    assert len(batch.targets) == 4
    alone = data.unlabelled.read(np.flatnonzero(data.unlabelled.ids == batch.ids[-1].item()))["student"]["input_ids"][0]
    assert ids[-1][mask[-1] == 1].tolist() == alone.tolist()


BROKEN = {
    "no such column": ("sentence\tlabel\nfine\t1\n", {"text": "story"}, DataError, "no column 'story'.*has: sentence"),
    "no names": ("fine\tgood\nslow\tbad\n", {}, DataError, "no names of columns: its first line is 'fine', 'good'"),
    "no label": ("sentence\tmood\nfine\tgood\n", {}, DataError, "no column of labels.*--label"),
    "empty": ("sentence\tlabel\nfine\t1\n \t0\ndull\t0\n", {}, DataError, r"a\.tsv, row 1 has no text \(1 such rows\)"),
    "one label": ("sentence\tlabel\nfine\t1\ngood\t1\nwarm\t1\n", {}, DataError, "has one class, 1"),
    "ragged": ("sentence\tlabel\nfine\t1\nslow\n", {}, DataError, r"a\.tsv.*Expected 2 columns, got 1"),
    "one for both": ("sentence\tlabel\nfine\t1\n", {"text": "label"}, ConfigError, "both text and label"),
    "images": ("sentence\tlabel\nfine\t1\n", {"image_size": 8}, ConfigError, "image_size is for images"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_refused(tmp_path, name):
    content, settings, kind, said = BROKEN[name]
    (tmp_path / "a.tsv").write_text(content)
    with pytest.raises(kind, match=said):
        opened(tmp_path / "a.tsv", **settings)


def test_what_is_no_text(tmp_path):
    pq.write_table(pa.table({"text": [1, 2], "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column 'text' holds int64, and texts are strings"):
        opened(tmp_path / "a.parquet", text="text")
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": 0}\n{"text": 3, "label": 1}\n')
    with pytest.raises(DataError, match=r"a\.jsonl.*text.*changed from string to number in row 1.*alike"):
        opened(tmp_path / "a.jsonl")
    with pytest.raises(ConfigError, match="holds texts: say with tokenizers"):
        open_data(tmp_path / "a.jsonl")
    with pytest.raises(ConfigError, match="text names a column of a table"):
        open_data("digits", text="text")


def test_empty_texts_can_be_left_out(tmp_path):
    lines = [f"{s}\t{y}" for s, y in sentences(20, 0)]
    (tmp_path / "a.tsv").write_text("\n".join(["sentence\tlabel", *lines[:5], "\t1", *lines[5:]]) + "\n")
    data = opened(tmp_path / "a.tsv", skip_corrupt=True)
    assert [name.endswith("a.tsv, row 5") for name in data.notes["skipped"]] == [True]
    assert sum(part["samples"] for part in data.facts()["parts"].values()) == 20
