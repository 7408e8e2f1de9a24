import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.models.builtin.vit import Block, ViT


def test_blocks_do_not_know_the_order_of_tokens():
    block, x, order = Block(32, 4), torch.randn(2, 9, 32), torch.randperm(9)
    torch.testing.assert_close(block(x)[:, order], block(x[:, order]))


def test_attention_matches_torch():
    block, x = Block(8, 2), torch.randn(2, 5, 8)
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    reference.load_state_dict({
        "in_proj_weight": block.qkv.weight, "in_proj_bias": block.qkv.bias,
        "out_proj.weight": block.out.weight, "out_proj.bias": block.out.bias,
    })  # fmt: skip
    torch.testing.assert_close(block._attend(x), reference(x, x, x)[0])


@pytest.mark.parametrize(("shape", "tokens"), [((3, 32, 32), 65), ((1, 8, 8), 65), ((3, 64, 32), 129)])
def test_default_patch_is_an_eighth(shape, tokens):
    network = ViT(5, shape)
    assert network.positions.shape == (1, tokens, 64)
    assert network(torch.randn(2, *shape)).shape == (2, 5)


def test_positions_matter():
    network, x = ViT(5, (1, 16, 16)), torch.randn(1, 1, 16, 16)
    assert not torch.allclose(network(x), network(x.roll(8, dims=2)), atol=1e-4)


def test_gradients_reach_every_parameter():
    network = ViT(3, (1, 8, 8), depth=2)
    torch.nn.functional.cross_entropy(network(torch.randn(4, 1, 8, 8)), torch.tensor([0, 1, 2, 0])).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"), [({"patch": 5}, "patches must divide the image's 32x32"), ({"heads": 3}, "divide the dim")]
)
def test_sizes_that_do_not_divide(options, message):
    with pytest.raises(ConfigError, match=message):
        ViT(5, (3, 32, 32), **options)
