"""Which tokens begin the same spans."""

import numpy as np
import pytest
import torch

from kantor.core.errors import DataError
from kantor.data.spelling import spelling
from kantor.faculty.vocabulary.together import of_predictions, of_texts
from tests.small_tokenizers import LIBRARY, byte_pairs, sentence_piece

TEXTS = ["a fine film", "a fine day and a fine film"]


@LIBRARY
def test_counts_are_of_tokens_that_begin_at_one_place() -> None:
    teacher, student = byte_pairs(TEXTS), sentence_piece(TEXTS, mark=True)
    found = of_texts([TEXTS], teacher, student)
    ours, theirs = spelling(student), spelling(teacher)
    said = {
        (theirs[i], ours[j]): n for i, j, n in zip(found.pairs.rows, found.pairs.columns, found.counts, strict=True)
    }
    assert said[b" fine", b" fine"] == 3 and said[b" film", b" film"] == 2 and said[b" a", b" a"] == 3
    assert found.of_teacher.sum() == found.of_student.sum() == found.counts.sum()
    again = of_texts([TEXTS[:1], TEXTS[1:]], teacher, student)
    np.testing.assert_array_equal(again.counts, found.counts)


@LIBRARY
def test_text_that_shares_no_place_is_refused() -> None:
    with pytest.raises(DataError, match="does it survive both"):
        of_texts([["", ""]], byte_pairs(TEXTS), sentence_piece(TEXTS))


def test_labels_and_predictions() -> None:
    predictions = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])
    found = of_predictions(predictions, torch.tensor([1, 0]), 2)
    assert found.pairs.rows.tolist() == [0, 1, 1, 2] and found.pairs.columns.tolist() == [1, 0, 1, 0]
    np.testing.assert_allclose(found.counts, [0.5, 0.25, 0.5, 0.75])
