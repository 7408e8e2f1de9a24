"""Running text as data: pieces, their labels, their bytes."""

import numpy as np
import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.data import Augment, Loader, open_data
from kantor.data.label_kinds import IGNORED
from kantor.data.tokenizer import Learned
from tests.study.texts import running_text

pytest.importorskip("tokenizers", reason="needs the extra text")
pytest.importorskip("pyarrow")


def opened(path, *, student: int = 300, teacher: int = 300, **settings):
    of = Learned(student, 24)
    return open_data(
        str(path),
        tokenizers={"student": of, "teacher": of if teacher == student else Learned(teacher, 24)},
        kind="next",
        **settings,
    )


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "text"
    place.mkdir()
    (place / "train.txt").write_text(running_text(2000, 0), encoding="utf-8")
    (place / "test.txt").write_text(running_text(600, 1), encoding="utf-8")
    return place


def test_labels_are_the_students_tokens_and_padding_has_none(folder):
    data = opened(folder, validation=0.1)
    for batch in Loader(data.train, 16, seed=0, augment=Augment.named("none")).epoch(0):
        ids, mask = batch.inputs["student"]["input_ids"], batch.inputs["student"]["attention_mask"]
        assert (batch.targets[mask == 1] == ids[mask == 1]).all()
        assert (batch.targets[mask == 0] == IGNORED).all()
    assert data.kind == "next"
    assert data.facts()["class_names"] == []
    assert len(data.classes) == data.train.tokenizers["student"].vocabulary


def test_every_byte_of_a_part_is_predicted_by_one_token(folder):
    data = opened(folder)
    sizes, told = data.test.token_bytes, 0.0
    for batch in Loader(data.test, 16, seed=0, augment=Augment.named("none"), shuffle=False, drop_last=False).epoch(0):
        after = batch.targets[:, 1:]
        told += sizes[after[after >= 0].numpy()].sum()
    assert told == pytest.approx((folder / "test.txt").stat().st_size, abs=1)


def test_a_teacher_of_another_tokenizer_sees_the_same_pieces(folder):
    data = opened(folder, teacher=340)
    seen = data.train.read(np.arange(5))
    assert {"input_ids", "attention_mask", "ends"} <= set(seen["student"]) | {"ends"}
    texts = {role: store.texts.read(np.arange(5)) for role, store in data.train.stores.items()}
    assert texts["student"] == texts["teacher"]
    assert not np.array_equal(seen["student"]["input_ids"], seen["teacher"]["input_ids"])


def test_one_file_holds_out_passages_that_no_tokenizer_learns_from(tmp_path):
    lines = [f"line {number} {chr(0x4E00 + number)}" for number in range(400)]
    (tmp_path / "all.txt").write_text("\n".join(lines), encoding="utf-8")
    data = opened(tmp_path / "all.txt")
    assert "no test part" in data.notes["test"]
    held, own = (
        {text for store in [part.stores["student"]] for text in store.texts.read(part.rows)}
        for part in (data.test, data.train)
    )
    assert held and own and not held & own
    share = sum(map(len, held)) / sum(len(text) for text in held | own)
    assert 0.1 < share < 0.4
    again = opened(tmp_path / "all.txt")
    assert again.test.fingerprint == data.test.fingerprint


def test_folders_and_files_are_parts_by_their_names(tmp_path):
    for place in ("valid/a.txt", "valid/b.txt", "test/a.txt"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(running_text(200, 0), encoding="utf-8")
    with pytest.raises(DataError, match="no train"):
        opened(tmp_path)
    (tmp_path / "train.txt").write_text(running_text(800, 1), encoding="utf-8")
    assert opened(tmp_path).notes["files"] == {
        "train": ["train.txt"], "test": ["a.txt"], "validation": ["a.txt", "b.txt"]
    }  # fmt: skip
    others = tmp_path / "books"
    others.mkdir()
    for name in ("moby.txt", "alice.txt"):
        (others / name).write_text(running_text(400, 2), encoding="utf-8")
    assert opened(others).notes["files"] == {"train": ["alice.txt", "moby.txt"]}


def test_a_column_of_a_table_is_running_text_too(tmp_path):
    rows = running_text(1500, 0).splitlines()
    (tmp_path / "a.tsv").write_text("sentence\tlabel\n" + "".join(f"{row}\t1\n" for row in rows), encoding="utf-8")
    data = opened(tmp_path / "a.tsv")
    assert data.notes["text"] == "sentence"
    assert len(data.train) + len(data.test) >= len(rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe\x00a", "no text in UTF-8"), (b"  \n \n", "holds no text|too little text"), (b"", "holds no text|too")],
)
def test_what_is_no_text_is_named(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "a.txt")


def test_running_text_is_for_language_models(folder):
    with pytest.raises(ConfigError, match="--task next_token"):
        open_data(str(folder), tokenizers={"student": Learned(300, 24)})
    with pytest.raises(ConfigError, match="leave views and label out"):
        opened(folder, label="y")
