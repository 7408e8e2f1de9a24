"""Maps between vocabularies that nobody solves for: by string rules, and by what is written the same."""

import numpy as np
import torch

from kantor.data.spelling import Spelling, spelling
from kantor.data.tokenizer import Tokenizer
from kantor.losses.vocabulary_map import VocabularyMap

_PIECES, _DECAY = 4, 0.5


def same_tokens(teacher: Spelling, student: Spelling) -> VocabularyMap:
    """Tokens that stand for the same bytes, one to one."""
    by_bytes = {token: j for j, token in reversed(list(enumerate(student))) if token is not None}
    found = {}
    for i, token in enumerate(teacher):
        if token in by_bytes:
            found.setdefault(by_bytes[token], i)
    pairs = sorted((i, j) for j, i in found.items())
    return _map([(i, j, 1.0) for i, j in pairs], (len(teacher), len(student)))


def string_rules(teacher: Spelling, student: Tokenizer) -> VocabularyMap:
    """X-Token's rules: a teacher's token goes to the same token of the student's (share 1), or to the first four pieces
    by which the student writes it, each with half the share of the one before; the shares of a token sum to 1.

    A token that the student cannot write, or that is a mark, goes nowhere.
    """
    spelled = spelling(student)
    same = {token: j for j, token in reversed(list(enumerate(spelled))) if token is not None}
    pieces = _pieces(teacher, student, spelled)
    found = []
    for i, token in enumerate(teacher):
        if token in same:
            found.append((i, same[token], 1.0))
            continue
        written, goes = pieces[i][:_PIECES], dict[int, float]()
        falling = _DECAY ** np.arange(len(written))
        for j, share in zip(written, falling, strict=True):
            goes[j] = goes.get(j, 0.0) + float(share / falling.sum())
        found += [(i, j, share) for j, share in sorted(goes.items())]
    return _map(found, (len(teacher), len(spelled)))


def _pieces(teacher: Spelling, student: Tokenizer, spelled: Spelling) -> list[list[int]]:
    """By the teacher's token, the student's that spell it: as its tokenizer does, else the longest first."""
    texts = []
    for token in teacher:
        try:
            texts.append("" if token is None else token.decode())
        except UnicodeDecodeError:
            texts.append("")
    asked = [student.encode(texts), student.encode([text.removeprefix(" ") for text in texts])]
    lengths = max((len(token) for token in spelled if token), default=0)
    by_bytes = {token: j for j, token in reversed(list(enumerate(spelled))) if token}
    found = []
    for i, token in enumerate(teacher):
        written: list[int] = []
        for way in asked:
            numbers = [int(j) for j in way.numbers[way.starts[i] : way.starts[i + 1]] if spelled[j] is not None]
            if token and b"".join(spelled[j] or b"" for j in numbers) == token:
                written = numbers
                break
        found.append(written or _longest_first(token or b"", by_bytes, lengths))
    return found


def _longest_first(token: bytes, by_bytes: dict[bytes, int], longest: int) -> list[int]:
    found, at = [], 0
    while at < len(token):
        ends = range(min(len(token), at + longest), at, -1)
        end = next((end for end in ends if token[at:end] in by_bytes), None)
        if end is None:
            return []
        found.append(by_bytes[token[at:end]])
        at = end
    return found


def _map(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> VocabularyMap:
    rows, columns, shares = (list(x) for x in zip(*entries, strict=True)) if entries else ([], [], [])
    return VocabularyMap(
        torch.tensor(rows, dtype=torch.int64),
        torch.tensor(columns, dtype=torch.int64),
        torch.tensor(shares, dtype=torch.float32),
        shape,
    )
