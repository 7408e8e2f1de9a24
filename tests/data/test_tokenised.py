"""Texts as tokens: padded to the longest of a batch, told apart by their tokenizer."""

from pathlib import Path

import numpy as np
import pytest

from kantor.core.errors import DataError
from kantor.data.texts import Texts
from kantor.data.tokenised import Tokenised
from kantor.data.tokenizer import Learned, Tokenizer

pytest.importorskip("tokenizers", reason="needs the extra text")
pa = pytest.importorskip("pyarrow")


def texts(*found: str) -> Texts:
    return Texts(pa.chunked_array([pa.array(found, pa.large_string())]), [(Path("films.tsv"), len(found))])


SOME = texts("fine", "a long and dull film", "slow")


def tokenised(of: Texts = SOME, size: int = 300, longest: int = 12) -> Tokenised:
    return Tokenised(of, Learned(size, longest).of(["fine dull slow film long"]))


def test_a_batch_is_padded_to_its_longest():
    store = tokenised()
    batch = store.read(np.array([2, 0]))
    ids, mask = batch["input_ids"], batch["attention_mask"]
    assert ids.shape == mask.shape == (2, int(mask.sum(1).max()))
    assert (ids[mask == 0] == store.tokenizer.padding).all()
    alone = store.read(np.array([0]))["input_ids"]
    assert ids[1, : alone.shape[1]].tolist() == alone[0].tolist()
    assert store.shape == (12, store.tokenizer.vocabulary)


def test_what_is_cut_is_counted():
    store = tokenised(texts("fine", "word " * 30), longest=8)
    assert store.cut == 1
    assert store.read(np.array([0, 1]))["input_ids"].shape == (2, 8)


def test_other_tokens_have_another_digest():
    rows = np.arange(3)
    assert tokenised().digest(rows) == tokenised().digest(rows)
    assert len({tokenised().digest(rows), tokenised(longest=11).digest(rows), tokenised().digest(rows[:2])}) == 3


def test_a_text_of_which_nothing_is_left():
    from tokenizers import Tokenizer as Made
    from tokenizers import models, normalizers

    made = Made(models.WordLevel({"fine": 0, "slow": 1}, unk_token="fine"))
    made.normalizer = normalizers.Replace("dull", "")
    with pytest.raises(DataError, match=r"films\.tsv, row 1: the tokenizer of own leaves no token of the text 'dull'"):
        Tokenised(texts("fine", "dull"), Tokenizer.of(made.to_str(), 8, "own"))
