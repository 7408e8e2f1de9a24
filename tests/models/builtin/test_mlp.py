import torch

from kantor.models.builtin import MLP


def test_flattens_and_counts_its_layers():
    network = MLP(3, (2, 4, 5), hidden=16, depth=4)
    assert [layer[0].in_features for layer in network.layers] == [40, 16, 16, 16]
    assert network(torch.randn(6, 2, 4, 5)).shape == (6, 3)


def test_without_hidden_layers_it_is_linear():
    network, a, b = MLP(3, (7,), depth=0), torch.randn(2, 7), torch.randn(2, 7)
    torch.testing.assert_close(network(a + b) - network(b), network(a) - network(torch.zeros(2, 7)))
