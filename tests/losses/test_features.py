import pytest
import torch
import torch.nn.functional as F

from kantor import losses
from kantor.core.errors import ShapeError
from kantor.losses.features import as_map, channels_of, common_grid, on_grid, pool, positions_in


@pytest.mark.parametrize(
    ("shape", "channels", "positions"),
    [((2, 6), 6, 0), ((2, 5, 6), 6, 5), ((2, 6, 3, 4), 6, 12), ((2, 6, 2, 3, 4), 6, 24)],
)
def test_every_form_has_channels_positions_and_a_mean(shape, channels, positions):
    x = torch.rand(shape)
    assert channels_of(x) == channels and positions_in(x) == positions
    moved = x if x.ndim == 2 else x.mean(1) if x.ndim == 3 else x.flatten(2).mean(2)
    torch.testing.assert_close(pool(x), moved)


def test_a_pooled_mean_counts_what_the_mask_keeps():
    x = torch.tensor([[[1.0], [3.0], [torch.nan]], [[5.0], [torch.inf], [0.0]], [[7.0], [8.0], [9.0]]])
    mask = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    assert pool(x, mask).flatten().tolist() == [2.0, 5.0, 0.0]
    half = torch.full((1, 300, 1), 600.0, dtype=torch.float16)  # whose sum is more than half precision holds
    assert pool(half, torch.ones(1, 300, dtype=torch.bool)).item() == 600
    with pytest.raises(ShapeError, match="mask"):
        pool(torch.rand(2, 3, 4), torch.ones(2, 4, dtype=torch.bool))


def test_a_map_need_not_be_square():
    tokens = torch.rand(2, 1 + 8, 3)
    assert torch.equal(on_grid(tokens, (2, 4)), tokens[:, 1:].mT.reshape(2, 3, 2, 4))
    fine, coarse = torch.rand(2, 3, 4, 12), torch.rand(2, 5, 2, 6)
    s, t = common_grid(fine, coarse)
    assert torch.equal(s, F.avg_pool2d(fine, 2)) and t is coarse
    assert as_map(fine) is fine


def test_tokens_are_a_sequence_whatever_their_number():
    tokens = torch.rand(2, 16, 3)
    assert torch.equal(as_map(tokens), tokens.mT[:, :, None])
    s, t = common_grid(tokens, torch.rand(2, 8, 5))
    assert s.shape == (2, 3, 1, 8) and t.shape == (2, 5, 1, 8)
    with pytest.raises(ShapeError, match=r"a sequence and a map.*averages over them first"):
        common_grid(tokens, torch.rand(2, 5, 4, 4))
    with pytest.raises(ShapeError, match="has none"):
        as_map(torch.rand(2, 8))


def test_volumes_meet_as_their_planes():
    fine, coarse = torch.rand(2, 3, 4, 4, 6), torch.rand(2, 5, 2, 4, 3)
    s, t = common_grid(fine, coarse)
    assert torch.equal(s, F.avg_pool3d(fine, (2, 1, 2)).flatten(3)) and torch.equal(t, coarse.flatten(3))
    for other in (torch.rand(2, 3, 4, 4), torch.rand(2, 4, 3)):
        with pytest.raises(ShapeError, match="is a volume, and maps of one plane"):
            common_grid(fine, other)


@pytest.mark.parametrize("name", [name for name, loss in losses.LOSSES.items() if loss.on_grid is True])
def test_a_loss_over_positions_takes_tokens_as_a_map_of_height_one(name):
    """Sixteen tokens are no square, and the first of them is no class token."""
    drawn = torch.Generator().manual_seed(0)
    student, teacher = (tuple(torch.rand(3, 16, 4, generator=drawn) for _ in range(2)) for _ in range(2))
    count = 2 if losses.LOSSES[name].reads == "stages" else 1
    values = []
    for change in (lambda x: x, lambda x: x.mT[:, :, None]):
        s, t = (tuple(map(change, side[:count])) for side in (student, teacher))
        loss = losses.LOSSES[name]()
        torch.manual_seed(0)
        loss.build(tuple(x.shape for x in s), tuple(x.shape for x in t), 3)
        values.append(loss(s, t) if count > 1 else loss(s[0], t[0]))
    assert values[0] == values[1] and values[0] > 0
