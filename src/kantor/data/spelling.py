"""What each token of a vocabulary stands for: bytes of text, however its tokenizer writes them."""

import json
import re
import unicodedata
from functools import cache
from typing import Any

from kantor.core.errors import DataError
from kantor.data.tokenizer import Tokenizer

Spelling = tuple[bytes | None, ...]
"""By a token's number the bytes it stands for, a word's first token with the space before it; None for marks (beginning
and end, padding, unknown) and for numbers that no token has."""

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_UNKNOWN = ("<unk>", "[UNK]", "<|unk|>")


def spelling(tokenizer: Tokenizer) -> Spelling:
    """What the tokens of a tokenizer stand for.

    Three conventions are known, and told apart by the tokenizer's decoder: bytes as letters (GPT-2), a mark for the
    space and ``<0x0A>`` for bytes (SentencePiece), and ``##`` before what goes on (WordPiece). Where it has none, a
    token is a word.

    Raises:
        DataError: its file is of no form that is known.
    """
    known = json.loads(tokenizer.content)
    model, added = known.get("model") or {}, known.get("added_tokens") or []
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):  # Unigram: tokens with their scores, in order
        vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
    if not isinstance(vocabulary, dict):
        raise DataError(
            f"The vocabulary of {tokenizer.origin} is of no form that is known ({model.get('type')}): what its tokens "
            "stand for cannot be told."
        )
    marks = {*_UNKNOWN, model.get("unk_token"), *(one["content"] for one in added if one.get("special"))}
    found: list[bytes | None] = [None] * tokenizer.vocabulary
    for one in added:
        found[one["id"]] = one["content"].encode()
    decoders = _parts(known.get("decoder"))
    for token, number in vocabulary.items():
        found[number] = _spelled(token, decoders, model)
    for token, number in [*vocabulary.items(), *((one["content"], one["id"]) for one in added)]:
        if token in marks and not _BYTE.fullmatch(token):
            found[number] = None
    return tuple(found)


@cache
def folded(token: bytes) -> bytes:
    """A token without what tokenizers disagree on: spaces around it, case, accents, and compatible forms of letters."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return token.strip()
    text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return text.strip().lower().encode()


def _parts(decoder: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """A decoder's parts by kind."""
    if not decoder:
        return {}
    parts = decoder["decoders"] if decoder.get("type") == "Sequence" else [decoder]
    return {part["type"]: part for part in parts}


def _spelled(token: str, decoders: dict[str, dict[str, Any]], model: dict[str, Any]) -> bytes:
    if "ByteLevel" in decoders:
        letters = _byte_letters()
        if all(letter in letters for letter in token):
            return bytes(letters[letter] for letter in token)
        return token.encode()
    if "Metaspace" in decoders or "Replace" in decoders or "ByteFallback" in decoders:
        if byte := _BYTE.fullmatch(token):
            return bytes([int(byte[1], 16)])
        return token.replace(decoders.get("Metaspace", {}).get("replacement", "▁"), " ").encode()
    if "WordPiece" in decoders or model.get("type") == "WordPiece":
        goes_on = model.get("continuing_subword_prefix") or decoders.get("WordPiece", {}).get("prefix") or "##"
        return token.removeprefix(goes_on).encode() if token.startswith(goes_on) else f" {token}".encode()
    if suffix := model.get("end_of_word_suffix") or decoders.get("BPEDecoder", {}).get("suffix"):
        return (f"{token.removesuffix(suffix)} " if token.endswith(suffix) else token).encode()
    return f" {token}".encode()


@cache
def _byte_letters() -> dict[str, int]:
    """The letters by which GPT-2's tokenizers write bytes: printable ones as they are, others from 256 up."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + k): byte for k, byte in enumerate(others)}
