"""Pairs of tokens that are written alike, and what each costs: a few for every token, found by look-up."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from kantor.data.spelling import Spelling, folded
from kantor.ot.sparse import Pairs

HIGHEST = 1.0
"""The cost of a pair that nothing speaks for."""
_FOLDED, _STEP, _REST = 0.2, 0.25, 0.25
_PREFIXES, _ALIKE = 4, 8
"""How many beginnings of a token take part, and how many tokens that differ in case or accents alone."""


def string_pairs(teacher: Spelling, student: Spelling) -> tuple[Pairs, Float64[np.ndarray, " pairs"]]:
    """Pairs of tokens that stand for the same bytes, or one of which begins the other, and their costs in [0, 1].

    The same bytes cost 0. A token that begins another costs ``.25 k + .25 (1 - share)``: it is the k-th longest of its
    vocabulary that does (at most four take part), and makes up that share of its bytes. So a teacher's token goes to
    the token by which the student begins to write it, and a piece of a word to the words that begin so. Where that
    holds only without case, accents or the space before a word, it costs .2 more.

    Args:
        teacher, student: what the tokens stand for; None takes no part.
    """
    found = [(i, j, cost) for i, j, cost in _pairs(teacher, student)]
    found += [(i, j, cost) for j, i, cost in _beginnings(student, teacher)]
    rows, columns = (np.fromiter((one[k] for one in found), np.int64, len(found)) for k in (0, 1))
    cost = np.fromiter((one[2] for one in found), np.float64, len(found))
    shape = len(teacher), len(student)
    pairs = Pairs.of(rows, columns, shape)
    least = np.full(len(pairs), HIGHEST)
    np.minimum.at(least, pairs.place(rows, columns), cost)
    return pairs, least


def _pairs(teacher: Spelling, student: Spelling) -> Iterator[tuple[int, int, float]]:
    alike = _by_key(student, folded)
    for i, token in enumerate(teacher):
        if token is None:
            continue
        for j in alike.get(folded(token) or token, ())[:_ALIKE]:
            yield i, j, 0.0 if student[j] == token else _FOLDED
    same = {token: j for j, token in reversed(list(enumerate(student))) if token is not None}
    yield from ((i, same[token], 0.0) for i, token in enumerate(teacher) if token in same)
    yield from _beginnings(teacher, student)


def _beginnings(long: Spelling, short: Spelling) -> Iterator[tuple[int, int, float]]:
    """Of every token of ``long`` the longest tokens of ``short`` that begin it."""
    by_key = _by_key(short, _key)
    for i, token in enumerate(long):
        if token is None:
            continue
        key, rank = _key(token), 0
        for size in range(len(key) - 1, 0, -1):
            begun = by_key.get(key[:size])
            if begun is None:
                continue
            rank += 1
            for j in begun[:_PREFIXES]:
                exact = token.startswith(short[j] or b"\0")
                cost = _STEP * rank + _REST * (1 - size / len(key)) + (0 if exact else _FOLDED)
                yield i, j, min(cost, HIGHEST)
            if rank == _PREFIXES:
                break


def _key(token: bytes) -> bytes:
    """A token without case and accents, and with the space before it."""
    plain = folded(token)
    return (b" " + plain if token.startswith(b" ") else plain) if plain else token


def _by_key(tokens: Spelling, key) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = defaultdict(list)
    for number, token in enumerate(tokens):
        if token is not None:
            found[key(token) or token].append(number)
    return dict(found)
