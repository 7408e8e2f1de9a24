"""The tokenizer that a model brings, and what is said where it brings none."""

import json

import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.data.tokenizer import Learned
from kantor.models.loading import load_named
from kantor.models.own_tokenizer import limit_of, needed_tokenizer, own_tokenizer, read_tokenizer
from tests.study.texts import write_bert

pytest.importorskip("tokenizers", reason="needs the extra text")


@pytest.fixture
def bert(tmp_path, torchvision_operators):
    return write_bert(tmp_path / "bert")


def test_a_checkpoint_brings_its_own(bert):
    found = own_tokenizer(f"transformers:{bert}")
    assert found.shape == (32, 22)
    assert found.origin == str(bert)
    assert found.encode(["a fine film"]).numbers.tolist() == [2, 4, 18, 5, 3]
    assert own_tokenizer(f"transformers:{bert}", 8).longest == 8
    assert read_tokenizer(bert, 64).longest == 64
    with pytest.raises(ConfigError, match=r"max_length 64 is longer than transformers:.*bert takes, 32 tokens"):
        own_tokenizer(f"transformers:{bert}", 64)


def test_weights_without_their_tokenizer(bert):
    (bert / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"bert holds a model of texts without its tokenizer, tokenizer\.json"):
        own_tokenizer(f"transformers:{bert}")
    assert own_tokenizer(f"transformers:{bert}@pretrained=false") is None
    (bert / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match=r"The tokenizer of .*bert cannot be read"):
        own_tokenizer(f"transformers:{bert}")


def test_a_file_of_kantor_holds_it(tmp_path):
    tokenizer = Learned(300, 16).of(["a fine film"])
    model = load_named("bag@dim=4", classes=2, input_shape=tokenizer.shape, tokenizer=tokenizer)
    model.save(tmp_path / "bag.safetensors")
    name = str(tmp_path / "bag.safetensors")
    assert own_tokenizer(name) == needed_tokenizer(name) == tokenizer
    assert limit_of("bag") is own_tokenizer("bag") is None
    with pytest.raises(ConfigError, match="bag brings no tokenizer, and the data are texts"):
        needed_tokenizer("bag")
    other = Learned(300, 16).of(["other words entirely"])
    with pytest.raises(ConfigError, match=r"bag\.safetensors learnt from the tokens of bpe:300, and sees those of"):
        load_named(name, input_shape=other.shape, tokenizer=other)


def test_a_vocabulary_larger_than_the_models(tmp_path, torchvision_operators):
    bert = write_bert(tmp_path / "small", vocabulary=20)
    tokenizer = own_tokenizer(f"transformers:{bert}")
    with pytest.raises(ConfigError, match=r"small has vectors for 20 tokens, and the tokenizer has 22"):
        load_named(f"transformers:{bert}", input_shape=tokenizer.shape, tokenizer=tokenizer)
    longer = (64, 20)
    with pytest.raises(ConfigError, match=r"small takes texts of 32 tokens, and they have up to 64.*--max-length 32"):
        load_named(f"transformers:{bert}", input_shape=longer)


def test_a_decoder_finds_the_last_token_of_a_padded_text(tmp_path, torchvision_operators):
    import torch
    from transformers import GPT2Config

    GPT2Config(vocab_size=300, n_embd=8, n_layer=1, n_head=1, n_positions=16).save_pretrained(tmp_path / "gpt2")
    tokenizer = Learned(300, 16).of(["a fine film"])
    name = f"transformers:{tmp_path / 'gpt2'}"
    model = load_named(name, classes=2, input_shape=tokenizer.shape, tokenizer=tokenizer).eval()
    ids, mask = torch.tensor([[5, 6, 7], [5, 6, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    alone = model(input_ids=ids[1:, :2], attention_mask=mask[1:, :2])
    torch.testing.assert_close(model(input_ids=ids, attention_mask=mask)[1:], alone)


def test_a_fresh_network_has_a_vector_for_every_token(tmp_path, torchvision_operators):
    bert = write_bert(tmp_path / "bert")
    (bert / "tokenizer.json").unlink()
    (bert / "tokenizer_config.json").unlink()
    name = f"transformers:{bert}@pretrained=false"
    assert load_named(name, classes=2, input_shape=(16, 300)).network.config.vocab_size == 300
    assert json.loads((bert / "config.json").read_text())["vocab_size"] == 22
    with pytest.raises(ConfigError, match=r"mlp reads vectors and small images; the samples are texts\. Use bag"):
        load_named("mlp", classes=2, input_shape=(16, 300))
    with pytest.raises(ConfigError, match=r"resnet8 reads images.*the samples are texts\. Use bag, textcnn"):
        load_named("resnet8", classes=2, input_shape=(16, 300))
    with pytest.raises(ConfigError, match="bag reads texts"):
        load_named("bag", classes=2, input_shape=(3, 8, 8))
