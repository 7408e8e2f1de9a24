from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch

from kantor.capture.layout import as_features, layout_of, tensor_of
from kantor.core.errors import ShapeError


@pytest.mark.parametrize(
    ("shape", "image", "expected"),
    [
        ((2, 64, 8, 8), (32, 32), "channels_first"),
        ((2, 7, 7, 768), (224, 224), "channels_last"),
        ((2, 8, 8, 8), (32, 32), "channels_first"),
        ((2, 64, 1, 1), (32, 32), "channels_first"),
        # Only the image's ratio tells that 16 is a number of channels here, and 64 there.
        ((2, 16, 16, 64), (32, 128), "channels_first"),
        ((2, 16, 64, 16), (32, 128), "channels_last"),
        # Strides round: 33 x 50 pixels become 5 x 7 cells.
        ((2, 12, 5, 7), (33, 50), "channels_first"),
        ((2, 5, 7, 12), (33, 50), "channels_last"),
        ((2, 3, 9, 40), None, "channels_first"),
    ],
)
def test_layout_follows_the_image_ratio(shape, image, expected):
    assert layout_of(torch.Size(shape), image) == expected


def test_channel_last_becomes_channel_first_with_the_same_numbers():
    x = torch.randn(2, 4, 4, 6)
    out = as_features(x, "block", image=(32, 32), batch=2)
    assert out.shape == (2, 6, 4, 4)
    assert torch.equal(out[:, 5, 1, 2], x[:, 1, 2, 5])
    assert as_features(x, "block", layout="channels_first") is x


def test_vectors_and_tokens_pass_unchanged():
    for x in (torch.randn(3, 5), torch.randn(3, 7, 5)):
        assert as_features(x, "layer", batch=3) is x


@pytest.mark.parametrize("x", [torch.zeros(4), torch.zeros(1, 2, 3, 4, 5, 6), torch.zeros(2, 3, dtype=torch.long)])
def test_other_forms_are_refused_by_name(x):
    with pytest.raises(ShapeError, match=r"'encoder\.odd'"):
        as_features(x, "encoder.odd")


def test_a_first_side_that_is_no_batch_is_refused():
    with pytest.raises(ShapeError, match=r"\(8, 3, 5\).*batch of 2"):
        as_features(torch.zeros(8, 3, 5), "windows", batch=2)


def test_tensor_of_each_kind_of_output():
    x, other = torch.randn(2, 3), torch.randn(2, 4)
    assert tensor_of(x, "a") is x
    assert tensor_of((x, other), "a") is x
    assert tensor_of([x, None], "a") is x
    assert tensor_of({"other": other, "logits": x}, "a") is x
    assert tensor_of(SimpleNamespace(logits=None, last_hidden_state=x), "a") is x
    assert tensor_of(OrderedDict(features=x, count=3), "a") is x


@pytest.mark.parametrize(
    "output", [None, 3.0, (), (None, torch.zeros(2, 2)), {"a": torch.zeros(1), "b": torch.zeros(1)}]
)
def test_no_single_tensor_is_refused_by_name(output):
    with pytest.raises(ShapeError, match="'lstm'"):
        tensor_of(output, "lstm")
