"""What tokens stand for, in every convention of tokenizers."""

import json

import pytest

from kantor.core.errors import DataError
from kantor.data.spelling import folded, spelling
from kantor.data.tokenizer import Tokenizer
from tests.small_tokenizers import LIBRARY, byte_pairs, sentence_piece, word_piece

TEXT = "a Fine né film\n"


def together(tokenizer: Tokenizer, text: str) -> bytes:
    """What the tokens of a text stand for, marks left out."""
    spelled = spelling(tokenizer)
    return b"".join(spelled[token] or b"" for token in tokenizer.encode([text]).numbers)


@LIBRARY
def test_tokens_spell_the_text() -> None:
    assert together(byte_pairs([TEXT], mark=True), TEXT) == f" {TEXT}".encode()
    assert together(sentence_piece([TEXT], mark=True), TEXT) == f" {TEXT}".encode()
    assert together(sentence_piece(["x"]), "né\n") == " né\n".encode()  # bytes, one by one
    assert together(word_piece([TEXT]), TEXT) == b" a fine ne film"  # lowered, without accents


@LIBRARY
def test_marks_and_numbers_without_a_token_spell_nothing() -> None:
    spelled = spelling(byte_pairs([TEXT], special="<|end|>"))
    assert spelled[0] is None and spelled[1] is None
    pieces = spelling(word_piece([TEXT]))
    assert pieces[:4] == (None,) * 4 and b" film" in pieces
    known = json.loads(byte_pairs([TEXT]).content)
    known["model"]["vocab"]["Ġlast"] = 900
    gap = spelling(Tokenizer(json.dumps(known), 10))
    assert gap[899] is None and gap[900] == b" last"


@LIBRARY
def test_words_and_ends_of_words() -> None:
    words = json.dumps(
        {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"film": 0, "?": 1}, "unk_token": "?"}}
    )
    assert spelling(Tokenizer(words, 10)) == (b" film", None)


def test_folded() -> None:
    assert folded(b" Fine") == folded("fíne".encode()) == b"fine"
    assert folded(b"\xc3") == b"\xc3"


@LIBRARY
def test_refuses_a_vocabulary_it_cannot_read() -> None:
    with pytest.raises(DataError, match="no form that is known"):
        spelling(Tokenizer(json.dumps({"model": {"type": "Other"}}), 10, origin="here"))
