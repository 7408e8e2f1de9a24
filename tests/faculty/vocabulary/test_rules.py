"""Maps by string rules."""

import torch

from kantor.data.spelling import spelling
from kantor.faculty.vocabulary.rules import same_tokens, string_rules
from tests.small_tokenizers import LIBRARY, byte_pairs, sentence_piece


def test_the_same_one_to_one() -> None:
    found = same_tokens((b"a", None, b"b", b"a", b"c"), (b"b", b"a", None, b"x"))
    assert found.rows.tolist() == [0, 2] and found.columns.tolist() == [1, 0]


@LIBRARY
def test_a_token_goes_to_itself_or_to_its_pieces() -> None:
    student, texts = byte_pairs(["x"]), ["né films"]
    teacher = spelling(sentence_piece(texts))
    found, spelled = string_rules(teacher, student), spelling(student)
    whole = teacher.index(b" films")
    at = found.rows == whole
    goes = [spelled[j] for j in found.columns[at].tolist()]
    assert set(goes) == {b" ", b"f", b"i", b"l"}  # four of the six bytes
    by = dict(zip(goes, found.shares[at].tolist(), strict=True))
    assert by[b" "] == 2 * by[b"f"] == 4 * by[b"i"] and abs(sum(by.values()) - 1) < 1e-6
    same = found.shares[found.rows == teacher.index(b"f")]
    assert same.tolist() == [1.0]
    assert found.given[[0, 1]].tolist() == [0, 0]  # marks
    assert torch.equal(found.given > 0, torch.tensor([token is not None for token in teacher]))
