import pytest
import torch
from torch import nn

from kantor.capture import capture
from kantor.capture.masks import check_meanings, mask_of, masks_in, padding_named, refuse_unknown_masks
from kantor.core.errors import ConfigError, ShapeError

IDS = torch.ones(2, 6, dtype=torch.long)
KEPT = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]])


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("attention_mask", KEPT), ("attention_mask", KEPT.float()), ("mask", KEPT.bool()),
        ("padding_mask", KEPT == 0), ("key_padding_mask", 1 - KEPT), ("src_key_padding_mask", KEPT == 0),
        ("lengths", torch.tensor([3, 5])), ("input_lengths", torch.tensor([3, 5])),
    ],
)  # fmt: skip
def test_the_usual_names_are_known_with_their_sense(name, mask):
    found = mask_of("blocks.1", 6, {"input_ids": IDS, name: mask}, {})
    assert found is not None and torch.equal(found, KEPT.bool())


def test_other_names_mean_what_is_said():
    inputs = {"input_ids": IDS, "valid_mask": KEPT, "noise_mask": KEPT, "attention_mask": torch.ones(2, 6)}
    meanings = {"valid_mask": "kept", "noise_mask": "other", "attention_mask": "other"}
    assert torch.equal(mask_of("", 6, inputs, meanings), KEPT.bool())
    assert torch.equal(mask_of("", 6, {"ids": IDS, "valid_mask": KEPT}, {"valid_mask": "padding"}), KEPT == 0)
    with pytest.raises(ConfigError, match=r"valid_mask.*Objective\(masks=\{'valid_mask': 'kept'\}\)"):
        refuse_unknown_masks(inputs, {"noise_mask": "other"})
    refuse_unknown_masks(inputs, meanings)
    with pytest.raises(ConfigError, match="'valid' is kept or padding or other where it is true, not 'yes'"):
        check_meanings({"valid": "yes"})


def test_a_mask_has_two_sides_and_is_of_a_layers_tokens():
    assert mask_of("", 6, IDS, {}) is None and mask_of("", 6, None, {}) is None
    assert mask_of("", 6, {"attention_mask": torch.ones(2, 1, 6, 6)}, {}) is None
    assert mask_of("", 5, {"input_ids": IDS, "attention_mask": KEPT, "lengths": torch.tensor([3, 5])}, {}) is None
    assert list(padding_named({"attention_mask": torch.ones(2, 1, 6, 6), "ids": IDS}, {})) == ["attention_mask"]


def test_an_encoder_and_a_decoder_have_their_own():
    short = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]])
    ids = {"input_ids": IDS, "decoder_input_ids": IDS[:, :4], "attention_mask": KEPT}
    both = {**ids, "decoder_attention_mask": short}
    assert torch.equal(mask_of("encoder.block.1", 6, both, {}), KEPT.bool())
    assert torch.equal(mask_of("decoder.block.1", 4, both, {}), short.bool())
    assert torch.equal(mask_of("body.1", 4, both, {}), short.bool()), "by its length where the path does not tell"
    alike = {**ids, "decoder_input_ids": IDS, "decoder_attention_mask": 1 - KEPT}
    assert torch.equal(mask_of("encoder.block.1", 6, alike, {}), KEPT.bool())
    assert torch.equal(mask_of("decoder.block.1", 6, alike, {}), KEPT == 0)
    assert torch.equal(mask_of("logits", 6, alike, {}), KEPT == 0)
    assert mask_of("decoder.block.1", 6, {**ids, "decoder_input_ids": IDS}, {}) is None, (
        "the other side's is not its own"
    )
    with pytest.raises(ShapeError, match="attention_mask and decoder_attention_mask, which differ"):
        mask_of("body.1", 6, alike, {})
    assert list(masks_in(alike, 6, {})) == ["attention_mask", "decoder_attention_mask"]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_torch_nests_is_read_as_the_tokens_that_went_in():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    network = nn.TransformerEncoder(layer, 2).eval().requires_grad_(False)
    x, padding = torch.rand(2, 6, 8), KEPT == 0
    with torch.no_grad(), capture(network, ["layers.0"]) as taken:
        network(x, src_key_padding_mask=padding)
        nested = taken["layers.0"]
    assert nested.shape == (2, 6, 8)
    with capture(network, ["layers.0"]) as taken:
        network(x.requires_grad_(), src_key_padding_mask=padding)
        plain = taken["layers.0"].detach()
    torch.testing.assert_close(nested[~padding], plain[~padding])
