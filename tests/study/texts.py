"""Small texts whose words say their class, and a tiny BERT of random weights with a tokenizer of its own."""

import json
from pathlib import Path

import numpy as np

WORDS = {0: ["awful", "dull", "poor", "slow"], 1: ["fine", "great", "lovely", "warm"]}
OTHERS = ["a", "film", "the", "story", "is", "it", "and", "plot", "of", "this"]


def sentences(samples: int, seed: int) -> list[tuple[str, int]]:
    """Texts of 4 to 11 words, one or two of which say the class."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(samples):
        label = number % 2
        words = random.choice(OTHERS, random.integers(3, 10)).tolist()
        words.insert(int(random.integers(len(words))), str(random.choice(WORDS[label])))
        made.append((" ".join(words), label))
    return made


def write_tsv(folder: Path, *, train: int = 60, dev: int = 20, test: int = 20, names: str = "sentence\tlabel") -> Path:
    """A folder of train, dev and test, each with a line of names."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (part, samples) in enumerate((("train", train), ("dev", dev), ("test", test))):
        lines = [names] if names else []
        lines += [f"{text}\t{label}" for text, label in sentences(samples, seed)]
        (folder / f"{part}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def write_bert(folder: Path, *, classes: int = 2, vocabulary: int | None = None, positions: int = 32) -> Path:
    """A checkpoint of a BERT of two layers, 16 wide, with random weights and words for tokens."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *OTHERS, *WORDS[0], *WORDS[1]]
    known = {token: number for number, token in enumerate(tokens)}
    made = Tokenizer(models.WordPiece(known, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", known["[SEP]"]), ("[CLS]", known["[CLS]"]))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary or len(tokens),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
    )
    config.num_labels = classes
    BertForSequenceClassification(config).save_pretrained(folder)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": positions, "pad_token": "[PAD]"}))
    return folder


def running_text(words: int, seed: int) -> str:
    """Lines of words, of which each second one follows from the one before it."""
    random = np.random.default_rng(seed)
    follows = dict(zip(OTHERS, random.permutation([*WORDS[0], *WORDS[1], "é", "naïve"]).tolist(), strict=True))
    pairs = [f"{word} {follows[word]}" for word in random.choice(OTHERS, words // 2).tolist()]
    return "\n".join(" ".join(pairs[start : start + 6]) for start in range(0, len(pairs), 6)) + "\n"


def write_llama(folder: Path, *, more_logits: int = 0, width: int = 16) -> Path:
    """A checkpoint of a language model of two layers, random weights, with byte pairs of its own.

    Args:
        more_logits: by which its vocabulary is filled up beyond its tokens.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from kantor.data.tokenizer import Learned

    tokenizer = Learned(300, 32).of([running_text(400, 0)])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.vocabulary + more_logits, hidden_size=width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * width, max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.content)
    return folder
