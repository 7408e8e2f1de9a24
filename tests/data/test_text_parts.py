"""What step 0 says of two tokenizers that do not read one text alike."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kantor.data.text_parts import tokens_in_words
from kantor.data.texts import Texts
from kantor.data.tokenised import Tokenised
from kantor.data.tokenizer import Tokenizer
from tests.small_tokenizers import LIBRARY, byte_pairs, sentence_piece, word_piece

pa = pytest.importorskip("pyarrow")
pytestmark = LIBRARY


def said(found: list[str], student: Tokenizer, teacher: Tokenizer) -> dict[str, str]:
    texts = Texts(pa.chunked_array([pa.array(found, pa.large_string())]), [(Path("train.txt"), len(found))])
    stores = {"student": Tokenised(texts, student), "teacher": Tokenised(texts, teacher)}
    return dict(tokens_in_words(SimpleNamespace(stores=stores, rows=np.arange(len(found)))))  # type: ignore[arg-type]


def test_two_that_read_every_letter_are_not_spoken_of():
    texts = ["a fine film", "né ☃"]
    assert set(said(texts, byte_pairs(texts), sentence_piece(texts))) == {"tokens (student)", "tokens (teacher)"}


def test_letters_that_one_side_changes_or_does_not_know():
    texts = ["a fine film", "A Fine film", "a fine ☃"]
    found = said(texts, byte_pairs(texts), word_piece(texts[:1]))["letters (teacher)"]
    assert "teacher's tokenizer (word piece) reads 2" in found and "student's (byte pairs) reads 0" in found
    assert "Bits per byte" in found


def test_marks_of_a_chat_template_that_one_side_alone_knows():
    texts = ["<|user|>a film", "a fine film"]
    found = said(texts, byte_pairs(texts), byte_pairs(texts, special="<|user|>"))["marks (teacher)"]
    assert "'<|user|>' in 1" in found and "byte pairs" in found and "chat template" in found
    assert "marks (teacher)" not in said(
        texts, *(byte_pairs(texts, special="<|user|>", size=size) for size in (400, 390))
    )
