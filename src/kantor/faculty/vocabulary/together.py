"""Which tokens of two tokenizers, or which labels, come together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor

from kantor.capture.positions import ENDS, TOKENS
from kantor.capture.spans import between
from kantor.core.errors import DataError
from kantor.data.tokenised import Tokenised
from kantor.data.tokenizer import Tokenizer
from kantor.ot.sparse import Pairs

_TEXTS = 32
"""Read at one time."""
_MOST = 4_000_000
"""Pairs that are held before they are counted."""
Side = tuple[Int64[Tensor, "batch tokens"], Int64[Tensor, "batch tokens"]]
"""Tokens, and after how many letters of the text each of them ends."""


@dataclass(frozen=True)
class Together:
    """How often the teacher's token ``pairs.rows[k]`` comes with the student's ``pairs.columns[k]``."""

    pairs: Pairs
    counts: Float64[np.ndarray, " pairs"]

    @property
    def of_teacher(self) -> Float64[np.ndarray, " n"]:
        """How often each of the teacher's comes."""
        return np.bincount(self.pairs.rows, self.counts, minlength=self.pairs.shape[0])

    @property
    def of_student(self) -> Float64[np.ndarray, " m"]:
        """How often each of the student's comes."""
        return np.bincount(self.pairs.columns, self.counts, minlength=self.pairs.shape[1])


def of_stores(teacher: Tokenised, student: Tokenised, rows: Int64[np.ndarray, " n"]) -> Together:
    """Tokens that begin the same span of a data set's texts, as both models see them.

    Where both tokenizers begin a token at one place of a text, the teacher's and the student's token there come
    together: that is what both predict after the same text.

    Args:
        teacher, student: the texts as both see them.
        rows: which texts count.

    Raises:
        DataError: no token of one begins where one of the other does.
    """

    def batches() -> Iterator[tuple[Side, Side]]:
        for start in range(0, len(rows), _TEXTS):
            s, t = (store.read(rows[start : start + _TEXTS]) for store in (student, teacher))
            yield (s[TOKENS], s[ENDS]), (t[TOKENS], t[ENDS])

    shape = teacher.tokenizer.vocabulary, student.tokenizer.vocabulary
    return _counted(batches(), shape, (teacher.tokenizer, student.tokenizer))


def of_texts(texts: Iterable[Sequence[str]], teacher: Tokenizer, student: Tokenizer) -> Together:
    """:func:`of_stores` of texts that no model has seen yet, some at a time."""

    def batches() -> Iterator[tuple[Side, Side]]:
        for some in texts:
            for start in range(0, len(some), _TEXTS):
                part = some[start : start + _TEXTS]
                yield _padded(student, part), _padded(teacher, part)

    return _counted(batches(), (teacher.vocabulary, student.vocabulary), (teacher, student))


def of_predictions(
    predictions: Float[Tensor, "samples teacher_classes"], labels: Int[Tensor, " samples"], classes: int
) -> Together:
    """Which of the teacher's classes are said, by its probabilities, for which labels of the student's."""
    one_hot = torch.nn.functional.one_hot(labels.long(), classes).double()
    joint = (predictions.double().T @ one_hot).cpu().numpy()
    rows, columns = (x.astype(np.int64) for x in np.nonzero(joint))
    return Together(Pairs(rows, columns, joint.shape), joint[rows, columns])  # type: ignore[arg-type]


def _padded(tokenizer: Tokenizer, texts: Sequence[str]) -> Side:
    found = tokenizer.encode(texts, with_ends=True)
    assert found.ends is not None
    lengths = np.diff(found.starts).tolist()
    tokens, ends = (
        torch.nn.utils.rnn.pad_sequence(list(torch.from_numpy(x.astype(np.int64)).split(lengths)), batch_first=True)
        for x in (found.numbers, found.ends)
    )
    return tokens, ends


def _counted(
    batches: Iterable[tuple[Side, Side]], shape: tuple[int, int], tokenizers: tuple[Tokenizer, Tokenizer]
) -> Together:
    """Args:
    batches: the student's side and the teacher's.
    shape: sizes of the teacher's vocabulary and of the student's.
    tokenizers: the same, for the message.
    """
    held: list[np.ndarray] = []
    keys, counts, waiting = np.empty(0, np.int64), np.empty(0), 0
    for student, teacher in batches:
        if not (student[0].numel() and teacher[0].numel()):
            continue
        spans = between(student, teacher)
        ours, theirs = (side.tokens.gather(1, side.first)[spans.mask] for side in (spans.student, spans.teacher))
        held.append((theirs * shape[1] + ours).numpy())
        waiting += len(held[-1])
        if waiting > _MOST:
            keys, counts = _summed([keys, *held], [counts, np.ones(waiting)])
            held, waiting = [], 0
    keys, counts = _summed([keys, *held], [counts, np.ones(waiting)])
    if not len(keys):
        raise DataError(
            f"No token of {tokenizers[0].origin} begins in these texts where one of {tokenizers[1].origin} does: is "
            "there text, and does it survive both tokenizers?"
        )
    return Together(Pairs(keys // shape[1], keys % shape[1], shape), counts)


def _summed(keys: list[np.ndarray], counts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Each key once, in order, with the sum of its counts."""
    every, number = np.concatenate(keys), np.concatenate(counts)
    order = np.argsort(every, kind="stable")
    every, number = every[order], number[order]
    starts = np.flatnonzero(np.diff(every, prepend=-1) > 0)
    return every[starts], np.add.reduceat(number, starts) if len(starts) else number
