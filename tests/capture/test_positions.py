import pytest
import torch

from kantor.capture.positions import patches, placed

IDS, MASK = torch.ones(2, 6, dtype=torch.long), torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("tokens", "image", "grid"),
    [
        (64, (32, 32), (8, 8)), (65, (32, 32), (8, 8)), (66, (224, 224), (8, 8)), (21, (8, 8), (4, 4)),
        (64, (32, 128), (4, 16)), (17, (32, 128), (2, 8)), (24, (40, 60), (4, 6)), (1, (8, 8), (1, 1)),
        (198, (224, 224), (14, 14)), (33, (32, 128), None), (8, (8, 8), None), (0, (8, 8), None),
        (197, (40, 60), (14, 14)),  # resized to a square first
        (64, None, None),  # no image, no guess
    ],
)  # fmt: skip
def test_patches_fill_a_grid_in_the_images_ratio(tokens, image, grid):
    assert patches(tokens, image) == grid


def test_tokens_take_the_mask_of_their_number_and_are_a_sequence():
    output = placed(torch.rand(2, 6, 4), {"input_ids": IDS, "attention_mask": MASK})
    assert output.mask.tolist() == MASK.bool().tolist() and output.grid is None
    other = placed(torch.rand(2, 3, 4), {"input_ids": IDS, "attention_mask": MASK})
    assert other.mask is None and other.grid is None


@pytest.mark.parametrize(
    ("shape", "inputs", "grid"),
    [
        ((2, 9, 4), torch.rand(2, 3, 12, 12), (3, 3)),  # patches of an image
        ((2, 17, 4), torch.rand(2, 3, 8, 32), (2, 8)),  # of a wide one, after a class token
        ((2, 9, 4), IDS, None),
        ((2, 9, 4), torch.rand(2, 2, 36), None),  # of a signal
        ((2, 9, 4), torch.rand(2, 36), None),  # of a row of numbers
        ((2, 9, 4), None, None),
        ((2, 4), torch.rand(2, 3, 12, 12), None),
        ((2, 4, 6, 6), torch.rand(2, 3, 12, 12), None),
        ((2, 6, 4), {"input_ids": IDS, "pixel_values": torch.rand(2, 3, 12, 12)}, None),  # the text's
        ((2, 10, 4), {"input_ids": IDS, "pixel_values": torch.rand(2, 3, 12, 12)}, (3, 3)),  # the image's
    ],
)
def test_where_tokens_lie_follows_from_what_went_in(shape, inputs, grid):
    output = placed(torch.rand(shape), inputs)
    assert output.grid == grid and output.mask is None
