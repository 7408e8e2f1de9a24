"""Networks by transformers, where it is installed; nothing is fetched."""

import importlib.util
import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kantor.capture import capture, stages
from kantor.core.errors import ConfigError, DataError
from kantor.models import load

IMAGES = torch.rand(2, 3, 32, 32)


@pytest.fixture
def checkpoints(tmp_path, torchvision_operators):
    """Folders as ``save_pretrained`` writes them, of tiny networks: a ViT, a ResNet and a Swin."""
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("needs transformers")
    from transformers import AutoModelForImageClassification, ResNetConfig, SwinConfig, ViTConfig

    names = {0: "cat", 1: "dog", 2: "ship"}
    configs = {
        "vit": ViTConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
            image_size=32, patch_size=8,
            id2label=names, label2id={name: i for i, name in names.items()},
        ),
        "resnet": ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", id2label=names
        ),
        "swin": SwinConfig(
            image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4, id2label=names
        ),
    }  # fmt: skip
    for name, config in configs.items():
        AutoModelForImageClassification.from_config(config).save_pretrained(tmp_path / name)
    return tmp_path


def test_transformers_checkpoint_with_its_names(checkpoints):
    model = load(f"transformers:{checkpoints / 'vit'}").eval()
    assert (model.name, model.class_names, model.num_classes) == ("vit", ["cat", "dog", "ship"], 3)
    with capture(model, ["vit.layers.1", "logits", "penultimate"]) as layers:
        logits = model(IMAGES)
    assert layers["vit.layers.1"].shape == (2, 17, 16)
    assert torch.equal(layers["logits"], logits)
    assert torch.equal(model.network.get_submodule("classifier")(layers["penultimate"]), logits)
    assert [layer.path for layer in stages(model, IMAGES)] == [f"vit.layers.{i}" for i in range(4)]
    again = load(f"transformers:{checkpoints / 'vit'}").eval()
    assert torch.equal(again(IMAGES), logits)


def test_transformers_architecture_alone_and_another_classifier(checkpoints):
    torch.manual_seed(0)
    whole = load(f"transformers:{checkpoints / 'vit'}")
    fresh = load(f"transformers:{checkpoints / 'vit'}@pretrained=false", classes=4)
    other = load(f"transformers:{checkpoints / 'vit'}", classes=4)
    key = "vit.layers.0.mlp.fc1.weight"
    weights = [dict(m.network.named_parameters()).get(key) for m in (whole, other, fresh)]
    if weights[0] is None:
        blocks = [m.network.get_submodule("vit.layers") for m in (whole, other, fresh)]
        weights = [next(p for p in block.parameters() if p.ndim == 2) for block in blocks]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert other.num_classes == fresh.num_classes == 4
    assert other.class_names is None


def test_transformers_maps_and_tokens(checkpoints):
    resnet = load(f"transformers:{checkpoints / 'resnet'}")
    assert stages(resnet, IMAGES)[-1].shape == (16, 4, 4)
    swin = load(f"transformers:{checkpoints / 'swin'}")
    assert stages(swin, IMAGES)[-1].shape == (64, 16)


def test_transformers_saves_and_loads(checkpoints, tmp_path):
    model = load(f"transformers:{checkpoints / 'resnet'}", classes=["a", "b", "c"]).eval()
    model.save(tmp_path / "w.safetensors")
    found = load(f"transformers:{checkpoints / 'resnet'}:{tmp_path / 'w.safetensors'}").eval()
    assert torch.equal(found(IMAGES), model(IMAGES))
    assert found.class_names == ["a", "b", "c"]


def test_transformers_names_that_are_wrong(checkpoints, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"could not make transformers:.*nowhere"):
        load(f"transformers:{checkpoints / 'nowhere'}")
    with pytest.raises(ConfigError, match=r"no option 'hidden_sise'\. Close to it: hidden_size"):
        load(f"transformers:{checkpoints / 'vit'}@hidden_sise=3")


def edited(folder, name="config.json", **entries):
    """A checkpoint's folder, with other entries in one of its files."""
    file = folder / name
    file.write_text(json.dumps((json.loads(file.read_text()) if file.exists() else {}) | entries))
    return f"transformers:{folder}"


def test_transformers_weights_in_half_precision_are_read_as_numbers_like_any(checkpoints):
    whole = load(f"transformers:{checkpoints / 'vit'}").eval()
    half = checkpoints / "half"
    network: Any = whole.network
    network.to(torch.bfloat16).save_pretrained(half)
    found = load(f"transformers:{half}").eval()
    assert {p.dtype for p in found.parameters()} == {torch.float32}
    assert found(IMAGES).dtype == torch.float32
    drawn = load(f"transformers:{half}@pretrained=false")
    assert {p.dtype for p in drawn.parameters()} == {torch.float32}


@pytest.mark.parametrize("classes", [None, 4])
def test_transformers_draws_no_weight_that_a_checkpoint_lacks(checkpoints, classes):
    file = checkpoints / "vit" / "model.safetensors"
    tensors = load_file(file)
    lost = next(key for key in tensors if "attention" in key)
    save_file({key: x for key, x in tensors.items() if key != lost}, file, metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"do not fit transformers:.*1 are missing"):
        load(f"transformers:{checkpoints / 'vit'}", classes=classes)


def test_transformers_weights_of_another_shape_than_the_configuration_says(checkpoints):
    with pytest.raises(DataError, match=r"of another shape than its config.json says"):
        load(edited(checkpoints / "vit", hidden_size=32))


def test_transformers_says_that_a_checkpoint_has_no_classifier(checkpoints):
    file = checkpoints / "vit" / "model.safetensors"
    tensors = {key: x for key, x in load_file(file).items() if not key.startswith("classifier")}
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.warns(UserWarning, match="comes without a classifier"):
        load(f"transformers:{checkpoints / 'vit'}")


@pytest.mark.parametrize(
    "entries",
    [
        {"id2label": [1, 2]},
        {"num_channels": "3"},
        {"hidden_size": -3},
        {"patch_size": 0},
        {"image_size": 0},
        {"dtype": "os"},
        {"model_type": ["vit"]},
    ],
)
def test_transformers_configurations_that_make_no_network(checkpoints, entries):
    with pytest.raises((ConfigError, DataError), match="vit"):
        load(edited(checkpoints / "vit", **entries))


@pytest.mark.parametrize("place", ["_attn_implementation", "vision_config"])
def test_a_checkpoint_does_not_name_code_on_the_hub(checkpoints, place):
    entry = "anybody/kernel" if place.startswith("_") else {"_attn_implementation": "anybody/kernel"}
    with pytest.raises(ConfigError, match="'anybody/kernel', which is code on the Hub"):
        load(edited(checkpoints / "vit", **{place: entry}))


def test_a_checkpoint_may_say_where_it_came_from(checkpoints):
    spec = edited(checkpoints / "vit", _name_or_path="somebody/their-vit")
    assert load(spec)(torch.rand(2, 3, 32, 32)).shape == (2, 3)


def test_transformers_sizes_as_height_and_width(checkpoints):
    spec = edited(checkpoints / "vit", image_size=[32, 32])
    assert load(spec).size is None
    larger = load(spec, input_shape=(3, 48, 48))
    assert larger.size == 32
    assert larger(torch.rand(2, 3, 48, 48)).shape == (2, 3)
    oblong = edited(checkpoints / "vit", image_size=[32, 16])
    assert load(f"{oblong}@pretrained=false", classes=3, input_shape=(3, 32, 16)).size is None
    with pytest.raises(ConfigError, match=r"images of 32 x 16, and the data's are 48 x 48"):
        load(f"{oblong}@pretrained=false", classes=3, input_shape=(3, 48, 48))


@pytest.mark.parametrize(
    "entries",
    [
        {"image_mean": "abc"},
        {"image_mean": [0.5] * 3, "image_std": [0, 0, 0]},
        {"image_mean": [None] * 3, "image_std": [1] * 3},
        {"size": "x"},
    ],
)
def test_transformers_preprocessors_that_make_no_numbers(checkpoints, entries):
    with pytest.raises(DataError, match=r"The preprocessor of .*vit cannot be used"):
        load(edited(checkpoints / "vit", "preprocessor_config.json", **entries))


@pytest.fixture
def llama(tmp_path, torchvision_operators):
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("needs transformers")
    pytest.importorskip("tokenizers", reason="needs the extra text")
    from tests.study.texts import write_llama

    return write_llama(tmp_path / "llama", more_logits=20)


def test_a_network_of_texts_without_their_shape_says_what_to_give(llama):
    with pytest.raises(ConfigError, match=r"llama \(llama\) is of texts.* input_shape=\(tokens, vocabulary\)"):
        load(f"transformers:{llama}", classes=2)


def test_a_language_model_says_what_transformers_says_of_its_own_tokens(llama):
    from transformers import AutoModelForCausalLM

    from kantor.models.loading import load_named
    from kantor.models.own_tokenizer import own_tokenizer

    tokenizer = own_tokenizer(f"transformers:{llama}", 24)
    model = load_named(f"transformers:{llama}", input_shape=tokenizer.shape, tokenizer=tokenizer, answers="next").eval()
    ids = torch.randint(0, tokenizer.vocabulary, (2, 9))
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        theirs = AutoModelForCausalLM.from_pretrained(llama)(ids).logits
    assert theirs.shape[2] == tokenizer.vocabulary + 20  # filled up
    torch.testing.assert_close(logits, theirs[..., : tokenizer.vocabulary])
    assert model.spec.endswith("@head=causal_lm")
    assert model.class_names == list(tokenizer.tokens)
    assert model.facts()["class_names"] is None


def test_a_language_model_is_read_back_from_its_file_alone(llama, tmp_path):
    from kantor.models.loading import load_named
    from kantor.models.own_tokenizer import own_tokenizer

    tokenizer = own_tokenizer(f"transformers:{llama}", 24)
    model = load_named(f"transformers:{llama}", input_shape=tokenizer.shape, tokenizer=tokenizer, answers="next").eval()
    model.save(tmp_path / "student.safetensors")
    (llama / "config.json").unlink()
    again = load(str(tmp_path / "student.safetensors")).eval()
    ids = {"input_ids": torch.arange(6)[None], "attention_mask": torch.ones(1, 6, dtype=torch.long)}
    assert torch.equal(again(**ids), model(**ids))
    assert again.says_tokens


def test_heads_that_there_are_not(llama):
    with pytest.raises(ConfigError, match="head=question: it is one of sequence_classification"):
        load(f"transformers:{llama}@head=question", classes=2, input_shape=(24, 300))
    with pytest.raises(ConfigError, match="head=causal_lm is of texts"):
        load(f"transformers:{llama}@head=causal_lm", classes=2, input_shape=(3, 8, 8))


def test_a_language_model_in_a_gguf_file(tmp_path, torchvision_operators):
    """Its weights of few bits become float32, and its file holds the tokenizer."""
    gguf = pytest.importorskip("gguf", reason="reads and writes such files")
    from kantor.models.loading import load_named
    from kantor.models.own_tokenizer import own_tokenizer

    torch.manual_seed(0)
    names = [chr(k) for k in range(33, 127)] + ["Ġ", "Ċ", "<|end|>", "fi", "lm"]
    writer = gguf.GGUFWriter(tmp_path / "small.gguf", "llama")
    for add, value in {
        "context_length": 64, "embedding_length": 32, "block_count": 1, "feed_forward_length": 64, "head_count": 2,
        "head_count_kv": 2, "layer_norm_rms_eps": 1e-5, "vocab_size": 104, "rope_dimension_count": 16,
        "tokenizer_model": "gpt2", "token_list": names, "token_merges": ["f i", "l m"],
        "token_types": [1] * len(names), "bos_token_id": 96, "eos_token_id": 96, "unk_token_id": 96,
    }.items():  # fmt: skip
        getattr(writer, f"add_{add}")(value)
    sizes = {"token_embd": (104, 32), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,)}
    sizes |= {f"blk.0.attn_{part}": (32, 32) for part in ("q", "k", "v", "output")}
    sizes |= {"blk.0.ffn_gate": (64, 32), "blk.0.ffn_up": (64, 32), "blk.0.ffn_down": (32, 64)}
    for name, shape in sizes.items():
        values = torch.randn(shape).numpy()
        kind = gguf.GGMLQuantizationType.Q8_0 if len(shape) == 2 and name != "token_embd" else None
        kept = values if kind is None else gguf.quants.quantize(values, kind)
        writer.add_tensor(f"{name}.weight", kept, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    spec = f"transformers:{tmp_path / 'small.gguf'}"
    tokenizer = own_tokenizer(spec, 16)
    assert tokenizer is not None and len(names) <= tokenizer.vocabulary < 104
    model = load_named(spec, classes=None, input_shape=tokenizer.shape, tokenizer=tokenizer, answers="next")
    ids = torch.from_numpy(tokenizer.encode(["film film"]).numbers).long()[None]
    logits = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert logits.shape == (1, ids.shape[1], tokenizer.vocabulary)
    assert logits.dtype == torch.float32 and logits.isfinite().all()
    model.save(tmp_path / "student.safetensors")
    again = load_named(str(tmp_path / "student.safetensors"), tokenizer=tokenizer, answers="next").eval()
    assert torch.equal(again(input_ids=ids, attention_mask=torch.ones_like(ids)), logits)
