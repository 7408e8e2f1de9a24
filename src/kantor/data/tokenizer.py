"""A tokenizer: text to the numbers of its tokens, cut to a length. Needs the extra ``text``."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NotRequired, TypedDict

import numpy as np
from jaxtyping import Int32, Int64

from kantor.core.errors import ConfigError, DataError
from kantor.core.optional import optional

LONGEST = 128
"""Tokens that texts are cut to where nobody says it, and no model takes fewer."""
_FEWEST = 300
_LONGEST_EVER, _MOST = 10_000_000, 2**31 - 1
"""Tokens of a text, and of a vocabulary."""
_PADDING = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")
_BEGINNING = ("<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<|endoftext|>", "[CLS]", "</s>")
"""Tokens that language models have seen before a text, the usual ones first."""

SPACE = -1
"""Where a token of space alone ends."""
_SPACES = ("▁", "Ġ")
"""A space, as SentencePiece and byte pairs write it."""


class KnownTokenizer(TypedDict):
    """A tokenizer as JSON holds it: see :meth:`Tokenizer.facts`."""

    content: str
    longest: int
    padding: NotRequired[int]
    predicts: NotRequired[bool]
    origin: NotRequired[str]


@dataclass(frozen=True)
class Tokens:
    """The tokens of some texts, one text after the other."""

    numbers: Int32[np.ndarray, " tokens"]
    starts: Int64[np.ndarray, " texts_and_one"]
    """Where each text's tokens begin, and where the last one's end."""
    own: Int64[np.ndarray, " texts"]
    """How many of each text's tokens stand for its letters: without marks of beginning and end."""
    cut: int
    """Texts that were longer than the longest."""
    ends: Int32[np.ndarray, " tokens"] | None = None
    """After how many letters of its text each token ends; 0 for a mark of beginning or end, -1 for space alone. None
    where it was not asked for."""
    sizes: Int32[np.ndarray, " tokens"] | None = None
    """How many bytes of its text each token stands for, the space before it among them; None where no token is
    predicted."""


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer of the ``tokenizers`` library, and the length that it cuts texts to.

    Two are equal that give every text the same tokens, wherever they came from.

    Attributes:
        content: as ``tokenizer.json`` holds it.
        longest: tokens that a text is cut to, marks of beginning and end among them.
        padding: the token that fills a batch's shorter texts.
        origin: where it came from, for messages.
        predicts: texts are read by a language model, which predicts each of their tokens: one that stands for none
            comes before the first.
    """

    content: str
    longest: int
    padding: int = 0
    origin: str = field(default="", compare=False)
    predicts: bool = False

    @classmethod
    def of(cls, content: str, longest: int, origin: str, padding: str | int | None = None) -> "Tokenizer":
        """From what a ``tokenizer.json`` holds.

        Args:
            content: the file's text.
            longest: tokens that texts are cut to.
            origin: where it came from.
            padding: the token that pads, or its number; looked for if left out.

        Raises:
            DataError: it is no tokenizer; names where it came from.
            ConfigError: ``tokenizers`` is not installed.
        """
        made = _made(content, origin)
        named = [padding] if isinstance(padding, str) else _PADDING
        found = [token for name in named if (token := made.token_to_id(name)) is not None]
        number = padding if isinstance(padding, int) else next(iter(found), 0)
        room = longest - made.num_special_tokens_to_add(False)
        if room < 1:
            raise ConfigError(f"max_length {longest} leaves no token for the text itself ({origin}). Give more.")
        return cls(content, longest, number, origin)

    @classmethod
    def read(cls, known: KnownTokenizer) -> "Tokenizer":
        """From its :meth:`facts`.

        Raises:
            DataError: they are not those of a tokenizer.
        """
        found = cls(
            known["content"], known["longest"], known.get("padding", 0), known.get("origin", ""),
            known.get("predicts", False),
        )  # fmt: skip
        for wrong, said in (
            (not 1 <= found.longest <= _LONGEST_EVER, f"texts are cut to {found.longest} tokens"),
            (not 0 <= found.padding < max(1, found.vocabulary), f"padding is token {found.padding}"),
        ):
            if wrong:
                raise DataError(f"The tokenizer of {found.origin or 'a model'} cannot be: {said}. Copy its file again.")
        return found

    @cached_property
    def digest(self) -> str:
        """A hex digest of all that decides the tokens."""
        predicts = "predicts " if self.predicts else ""
        return hashlib.sha256(f"{predicts}{self.longest} {self.padding} {self.content}".encode()).hexdigest()

    @property
    def vocabulary(self) -> int:
        """How many tokens there are: their numbers are below it."""
        largest = max(self._made.get_vocab().values(), default=-1)
        if largest >= _MOST:
            raise DataError(f"The tokenizer of {self.origin} has a token of number {largest}, and they are counted up.")
        return largest + 1

    @property
    def shape(self) -> tuple[int, int]:
        """A text's shape as a model sees it: at most so many tokens, of so many."""
        return self.longest, self.vocabulary

    def token(self, number: int) -> str | None:
        """The token of a number; None where there is none."""
        return self._made.id_to_token(number)

    def facts(self) -> KnownTokenizer:
        """All that is needed to make it again, as JSON holds it."""
        known: KnownTokenizer = {"content": self.content, "longest": self.longest, "padding": self.padding}
        if self.predicts:
            known["predicts"] = True
        return {**known, "origin": self.origin}

    @cached_property
    def beginning(self) -> int | None:
        """The token that is put before a text of which every token is predicted: what language models are used to,
        where there is such a token, else padding. None where the tokenizer itself begins each text with a mark, or
        nothing is predicted."""
        if not self.predicts or self._marks[0]:
            return None
        usual = (self._whole.token_to_id(name) for name in _BEGINNING)
        return next((token for token in usual if token is not None), self.padding)

    @property
    def room(self) -> int:
        """Tokens of a text's own letters at most, beside marks of beginning and end."""
        return self.longest - sum(self._marks) - (self.beginning is not None)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Every token as the tokenizer writes it, by its number; empty where a number stands for none."""
        names = [""] * self.vocabulary
        for name, number in self._whole.get_vocab().items():
            names[number] = name
        return tuple(names)

    @cached_property
    def marks(self) -> frozenset[str]:
        """Tokens that are marks and no text, as they would be written in one."""
        added = json.loads(self.content).get("added_tokens") or []
        return frozenset(token["content"] for token in added if token.get("special"))

    def is_read(self, text: str) -> bool:
        """Whether every letter of a text is read as it is written: none is changed first, as by lowering, and for none
        there is no token."""
        whole, squeezed = self._whole, "".join(text.split())
        if whole.normalizer is not None:
            read = _tried(lambda: whole.normalizer.normalize_str(text), self.origin)
            if "".join(read.replace("▁", " ").split()) != squeezed.replace("▁", ""):
                return False
        unknown = getattr(whole.model, "unk_token", None)
        return unknown is None or unknown in text or unknown not in whole.encode(text, add_special_tokens=False).tokens

    def encode(self, texts: Sequence[str], *, with_ends: bool = False) -> Tokens:
        """The tokens of ``texts``, cut to the longest; where each of them ends only if asked."""
        found = _tried(lambda: self._made.encode_batch(list(texts)), self.origin)
        first = [] if self.beginning is None else [self.beginning]
        starts = np.cumsum([0, *(len(first) + len(one.ids) for one in found)])
        own = np.asarray([len(one.ids) - sum(one.special_tokens_mask) for one in found], dtype=np.int64)
        both, none = list(zip(found, texts, strict=True)), [0] * len(first)
        return Tokens(
            _joined([*first, *one.ids] for one in found),
            starts,
            own,
            sum(bool(one.overflowing) for one in found),
            ends=_joined(none + _ends(one, text) for one, text in both) if with_ends else None,
            sizes=_joined(none + _sizes(one, text) for one, text in both) if self.predicts else None,
        )

    def ends(self, text: str) -> Int64[np.ndarray, " tokens"]:
        """After how many letters each token of a text ends, however many there are, without marks."""
        found = _tried(lambda: self._whole.encode(text, add_special_tokens=False), self.origin)
        return np.maximum.accumulate(np.asarray([end for _, end in found.offsets], dtype=np.int64))

    def __str__(self) -> str:
        return f"tokens of {self.origin}, at most {self.longest}"

    def __repr__(self) -> str:
        return f"Tokenizer({self.digest})"

    @cached_property
    def _made(self) -> Any:
        made = _made(self.content, self.origin)
        made.no_padding()
        _tried(lambda: made.enable_truncation(self.longest - (self.beginning is not None)), self.origin)
        return made

    @cached_property
    def _whole(self) -> Any:
        """Of texts of any length."""
        made = _made(self.content, self.origin)
        made.no_padding()
        made.no_truncation()
        return made

    @cached_property
    def _marks(self) -> tuple[int, int]:
        """How many marks the tokenizer itself puts before a text, and how many after."""
        mask = _tried(lambda: self._whole.encode("a"), self.origin).special_tokens_mask
        before = next((place for place, special in enumerate(mask) if not special), len(mask))
        return before, sum(mask) - before


def _ends(encoding: Any, text: str) -> list[int]:
    """Where each token ends: tokens of some tokenizers hold the space before a word, and of others that after it."""
    ends = []
    of_text = _before_text(encoding)
    for place, ((begin, end), special) in enumerate(zip(encoding.offsets, encoding.special_tokens_mask, strict=True)):
        held = "" if place == of_text else text[begin:end].rstrip()
        ends.append(0 if special else begin + len(held) if held else SPACE)
    return ends


def _before_text(encoding: Any) -> int | None:
    """The place of a space that the tokenizer itself puts before a text, where it is a token alone: the library has it
    lie on the first letter, and it stands for none. None where there is no such token."""
    mask = encoding.special_tokens_mask
    first = next((place for place, special in enumerate(mask) if not special), None)
    if first is None or encoding.tokens[first] not in _SPACES or first + 1 == len(mask):
        return None
    return first if encoding.offsets[first + 1][0] == 0 and not mask[first + 1] else None


def _sizes(encoding: Any, text: str) -> list[int]:
    """How many bytes each token stands for; what lies after the last one is that one's."""
    bytes_of = [1] * len(text) if text.isascii() else [len(letter.encode("utf-8", "surrogatepass")) for letter in text]
    until = np.cumsum([0, *bytes_of])
    sizes, before, last, of_text = [], 0, None, _before_text(encoding)
    for place, ((_, end), special) in enumerate(zip(encoding.offsets, encoding.special_tokens_mask, strict=True)):
        after = before if special or place == of_text else max(before, int(until[end]))
        sizes.append(after - before)
        before, last = after, last if special else place
    if last is not None and not encoding.overflowing:
        sizes[last] += int(until[-1]) - before
    return sizes


def _joined(pieces: Iterable[list[int]]) -> Int32[np.ndarray, " tokens"]:
    return np.fromiter((number for piece in pieces for number in piece), dtype=np.int32)


class Learned:
    """A tokenizer that is yet to be learned from the training text: byte pairs, after which no text is unknown.

    Args:
        size: tokens at most.
        longest: tokens that texts are cut to.

    Raises:
        ConfigError: fewer tokens than the bytes need.
    """

    def __init__(self, size: int, longest: int):
        if size < _FEWEST:
            raise ConfigError(f"tokenizer bpe:{size}: byte pairs begin with the 256 bytes; give at least {_FEWEST}.")
        self.size, self.longest = size, longest
        self._found: Tokenizer | None = None

    def of(self, texts: Iterable[str]) -> Tokenizer:
        """The tokenizer, learned from ``texts`` the first time; a pure function of them."""
        if self._found is None:
            library = _library()
            made = library.Tokenizer(library.models.BPE())
            made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
            made.decoder = library.decoders.ByteLevel()
            made.train_from_iterator(
                texts,
                library.trainers.BpeTrainer(
                    vocab_size=self.size,
                    special_tokens=["<pad>"],
                    initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
                    show_progress=False,
                ),
            )
            self._found = Tokenizer.of(made.to_str(), self.longest, f"bpe:{self.size}", "<pad>")
        return self._found


def longest_of(asked: int | None, limit: int | None, origin: str) -> int:
    """The length that texts are cut to.

    Args:
        asked: by the user.
        limit: tokens that the model takes; None where it takes any number.
        origin: the model, for messages.

    Raises:
        ConfigError: more are asked for than the model takes.
    """
    if asked is None:
        return LONGEST if limit is None else min(LONGEST, limit)
    if asked < 1:
        raise ConfigError(f"max_length is a number of tokens, 1 or more, not {asked}.")
    if limit is not None and asked > limit:
        raise ConfigError(f"max_length {asked} is longer than {origin} takes, {limit} tokens. Give at most {limit}.")
    return asked


def _made(content: str, origin: str) -> Any:
    library = _library()
    return _tried(lambda: library.Tokenizer.from_str(content), origin)


def _tried(act: Callable[[], Any], origin: str) -> Any:
    """What the library makes of a tokenizer, whose file can make it raise anything: also what is no ``Exception``.

    Raises:
        DataError: it cannot.
    """
    try:
        return act()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise DataError(
            f"The tokenizer of {origin} cannot be read: {error}. Save it again as tokenizer.json."
        ) from None


def _library() -> Any:
    with optional("Text needs tokenizers", "text"):
        import tokenizers
    return tokenizers


def same_tokens(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether two tokenizers give the same tokens, but for the length that they cut to.

    Files of one tokenizer differ in settings that kantor does not use, as how a batch is padded.
    """
    return _without_settings(one.content) == _without_settings(other.content)


def _without_settings(content: str) -> Any:
    held = json.loads(content)
    return {key: value for key, value in held.items() if key not in ("padding", "truncation")}
