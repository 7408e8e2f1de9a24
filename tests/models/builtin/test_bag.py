"""A bag of words: the order of the words changes nothing."""

import torch

from kantor.models.builtin.bag import Bag


def test_order_changes_nothing():
    torch.manual_seed(0)
    network = Bag(3, (16, 40), dim=8, hidden=16, depth=2)
    ids = torch.tensor([[3, 7, 9, 0]])
    mask = torch.tensor([[1, 1, 1, 0]])
    torch.testing.assert_close(network(ids, mask), network(ids[:, [2, 0, 1, 3]], mask))
    assert not torch.allclose(network(ids, mask), network(ids + mask, mask))
    assert len(network.layers) == 2


def test_depth_0_is_a_linear_classifier_on_the_mean():
    network = Bag(2, (16, 40), dim=8, depth=0)
    ids = torch.tensor([[3, 7]])
    mean = network.embedding.weight[[3, 7]].mean(0)
    torch.testing.assert_close(network(ids, torch.ones_like(ids))[0], network.linear(mean))
