import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.models.builtin import CNN


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 30, 20)])
def test_stages_halve_the_resolution(shape):
    network, x = CNN(10, shape, width=128), torch.randn(2, *shape)
    for stage, channels, divisor in (("layer1", 32, 1), ("layer2", 64, 2), ("layer3", 128, 4)):
        x = getattr(network, stage)(x)
        assert x.shape == (2, channels, -(-shape[1] // divisor), -(-shape[2] // divisor))
    assert network(torch.randn(2, *shape)).shape == (2, 10)


def test_position_does_not_matter_but_at_the_border():
    network = CNN(4, (1, 32, 32)).eval()
    x = torch.zeros(1, 1, 32, 32)
    x[..., 12:16, 12:16] = torch.randn(4, 4)
    torch.testing.assert_close(network(x), network(x.roll((4, -4), dims=(2, 3))))


def test_too_narrow():
    with pytest.raises(ConfigError, match="cnn@width=2"):
        CNN(4, (1, 8, 8), width=2)
