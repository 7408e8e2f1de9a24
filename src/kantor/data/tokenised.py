"""Texts as a model sees them: the tokens of one tokenizer, padded batch by batch."""

import hashlib

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from kantor.capture.positions import ENDS
from kantor.core.errors import DataError
from kantor.data.texts import Texts
from kantor.data.tokenizer import Tokenizer

TEXT: tuple[str, str] = ("input_ids", "attention_mask")
"""What a network of texts is given, by name: the tokens, and 1 for each of them and 0 for padding."""


class Tokenised:
    """Texts as one tokenizer gives them: their tokens are kept, four bytes each, and padded when a batch is read.

    Args:
        texts: the texts.
        tokenizer: what makes the tokens.
        with_ends: also keep where in its text each token ends, for who compares them with another's.

    Raises:
        DataError: the tokenizer leaves nothing of a text; its file and row are named.
    """

    on_demand = False

    def __init__(self, texts: Texts, tokenizer: Tokenizer, *, with_ends: bool = False):
        self.texts, self.tokenizer, self.shape = texts, tokenizer, tokenizer.shape
        numbers, ends, sizes = ([np.empty(0, np.int32)] for _ in range(3))
        lengths = [np.zeros(1, np.int64)]
        seen = self.cut = 0
        for piece in texts.pieces():
            found = tokenizer.encode(piece, with_ends=with_ends)
            if (found.own == 0).any():
                row = int(np.flatnonzero(found.own == 0)[0])
                raise DataError(
                    f"{texts.describe(seen + row)}: the tokenizer of {tokenizer.origin} leaves no token of the text "
                    f"{piece[row]!r:.60}. Correct the row, or leave it out."
                )
            numbers.append(found.numbers)
            ends += [] if found.ends is None else [found.ends]
            sizes += [] if found.sizes is None else [found.sizes]
            lengths.append(np.diff(found.starts))
            self.cut += found.cut
            seen += len(piece)
        self.numbers = np.concatenate(numbers)
        self.ends = np.concatenate(ends) if with_ends else None
        self.sizes = np.concatenate(sizes) if tokenizer.predicts else None
        self.starts = np.cumsum(np.concatenate(lengths))

    def read(self, rows: Int64[np.ndarray, " batch"]) -> dict[str, Int64[Tensor, "batch tokens"]]:
        """``input_ids`` and ``attention_mask`` of the texts at ``rows``, padded at the end to the longest of them; and
        where each token ends (:data:`kantor.capture.positions.ENDS`), where that is kept."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        place = np.arange(int(lengths.max(initial=1)))
        inside = place < lengths[:, None]
        at = np.where(inside, self.starts[rows][:, None] + place, 0)
        ids = np.where(inside, self.numbers[at], self.tokenizer.padding)
        named = dict(zip(TEXT, (ids, inside), strict=True))
        if self.ends is not None:
            named[ENDS] = np.where(inside, self.ends[at], 0)
        return {name: torch.from_numpy(x.astype(np.int64)) for name, x in named.items()}

    def token_bytes(self, rows: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, " vocabulary"] | None:
        """How many bytes each token stands for on average over the texts at ``rows``: what a language model predicts,
        to the byte. None where no token is predicted."""
        if self.sizes is None:
            return None
        inside = np.zeros(len(self.numbers) + 1, dtype=np.int64)
        np.add.at(inside, self.starts[rows], 1)
        np.add.at(inside, self.starts[rows + 1], -1)
        held = np.flatnonzero(np.cumsum(inside[:-1]))
        numbers, most = self.numbers[held], self.tokenizer.vocabulary
        total = np.bincount(numbers, weights=self.sizes[held], minlength=most)
        return total / np.maximum(1, np.bincount(numbers, minlength=most))

    def digest(self, rows: Int64[np.ndarray, " n"]) -> str:
        """SHA-256 of the tokenizer and of the texts' tokens."""
        digest = hashlib.sha256(self.tokenizer.digest.encode())
        for row in rows.tolist():
            tokens = self.numbers[self.starts[row] : self.starts[row + 1]]
            digest.update(f"{len(tokens)}:".encode() + tokens.astype("<i4").tobytes())
        return digest.hexdigest()
