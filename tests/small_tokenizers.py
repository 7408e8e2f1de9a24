"""Small tokenizers of every convention, as tests need them."""

from collections.abc import Sequence
from importlib.util import find_spec

import pytest

from kantor.data.tokenizer import Tokenizer

LIBRARY = pytest.mark.skipif(find_spec("tokenizers") is None, reason="needs the extra text")
LONG = 10_000


def byte_pairs(texts: Sequence[str], *, size: int = 400, mark: bool = False, special: str = "") -> Tokenizer:
    """As GPT-2's: a word's first token holds the space before it; ``mark`` puts a token before every text."""
    import tokenizers as library

    made = library.Tokenizer(library.models.BPE())
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = library.decoders.ByteLevel()
    alphabet = sorted(library.pre_tokenizers.ByteLevel.alphabet())
    named = ["<s>", *([special] if special else [])]
    made.train_from_iterator(
        texts,
        library.trainers.BpeTrainer(
            vocab_size=size, special_tokens=named, initial_alphabet=alphabet, show_progress=False
        ),
    )
    if mark:
        made.post_processor = library.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return Tokenizer.of(made.to_str(), LONG, "byte pairs", 0)


def sentence_piece(texts: Sequence[str], *, size: int = 60, mark: bool = False) -> Tokenizer:
    """As Llama's: spaces are written as a letter of their own, other bytes as ``<0x0A>``."""
    import tokenizers as library

    made = library.Tokenizer(library.models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer = library.pre_tokenizers.Metaspace()
    made.decoder = library.decoders.Sequence(
        [library.decoders.Replace("▁", " "), library.decoders.ByteFallback(), library.decoders.Fuse()]
    )
    named = ["<unk>", "<s>", *(f"<0x{k:02X}>" for k in range(256))]
    made.train_from_iterator(
        texts,
        library.trainers.BpeTrainer(vocab_size=len(named) + size, special_tokens=named, show_progress=False),
    )
    if mark:
        made.post_processor = library.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return Tokenizer.of(made.to_str(), LONG, "sentence piece", 0)


def word_piece(texts: Sequence[str], *, size: int = 80) -> Tokenizer:
    """As BERT's without case: letters lowered, and a word's further tokens begin with ``##``."""
    import tokenizers as library

    made = library.Tokenizer(library.models.WordPiece(unk_token="[UNK]"))
    made.normalizer = library.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    made.decoder = library.decoders.WordPiece()
    named = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(
        texts, library.trainers.WordPieceTrainer(vocab_size=size, special_tokens=named, show_progress=False)
    )
    made.post_processor = library.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return Tokenizer.of(made.to_str(), LONG, "word piece", 0)
