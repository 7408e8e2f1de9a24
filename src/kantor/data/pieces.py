"""Running text, cut into pieces that no tokenizer cuts again: what a language model learns from, a piece a sample."""

from collections.abc import Iterator, Sequence

import numpy as np

from kantor.core.errors import ConfigError
from kantor.data.tokenizer import Tokenizer

PASSAGE = 16_384
"""Letters that are taken apart at once."""
_SPARE = 2
"""Tokens that a piece may have more of than the passage that it is cut from, by its first word alone."""


def passages(document: str, size: int = PASSAGE) -> Iterator[str]:
    """A document in parts of at most ``size`` letters, which end where a line does, else a word; none is lost.

    They need no tokenizer: what is held out for a test can be chosen among them before one is learned.
    """
    start = 0
    while start < len(document):
        stop = start + size
        if stop < len(document):
            line = document.rfind("\n", start + size // 2, stop)
            stop = line + 1 if line >= 0 else _before_a_word(document, start, stop)
        yield document[start:stop]
        start = stop


def pieces(passage: str, tokenizers: Sequence[Tokenizer]) -> Iterator[str]:
    """A passage in pieces as long as every tokenizer takes whole, cut before a word; no letter is lost.

    Each piece is a view of one text for all of them, so that models of other tokenizers are asked the same.

    Args:
        passage: some text.
        tokenizers: of all who see it.

    Raises:
        ConfigError: one takes too few tokens for a text.
    """
    ends = [tokenizer.ends(passage) for tokenizer in tokenizers]
    rooms = [room_of(tokenizer) for tokenizer in tokenizers]
    start = 0
    while start < len(passage):
        stop = len(passage)
        for end, room in zip(ends, rooms, strict=True):
            last = int(np.searchsorted(end, start, side="right")) + room - 1
            if last < len(end) - 1:
                stop = min(stop, max(start + 1, int(end[last])))
        if stop < len(passage):
            stop = _before_a_word(passage, start, stop)
        yield passage[start:stop]
        start = stop


def room_of(tokenizer: Tokenizer) -> int:
    """How many tokens a piece may have.

    Raises:
        ConfigError: too few to be of use.
    """
    room = tokenizer.room - _SPARE
    if room < 1:
        raise ConfigError(
            f"max_length {tokenizer.longest} leaves no room for text to predict ({tokenizer.origin}). Give at least "
            f"{tokenizer.longest - tokenizer.room + _SPARE + 1}."
        )
    return room


def _before_a_word(text: str, start: int, stop: int) -> int:
    """The last place up to ``stop`` where a word begins after space; ``stop`` itself within a word of that length.

    The space goes with the word after it, as most tokenizers have it.
    """
    for place in range(stop, start, -1):
        if text[place].isspace() and not text[place - 1].isspace():
            return place
    return stop
