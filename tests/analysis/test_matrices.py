import pytest
import torch

from kantor.analysis import layer_matrices, linear_cka, neuron_distance


def test_layers_in_their_order_and_transposed():
    a = {"first": torch.randn(40, 4), "last": torch.randn(40, 6)}
    b = {"one": torch.randn(40, 6), "two": torch.randn(40, 3), "three": a["last"][:, torch.randperm(6)]}
    found, other = layer_matrices(a, b), layer_matrices(b, a)
    assert (found.rows, found.columns) == (["first", "last"], ["one", "two", "three"])
    for i, x in enumerate(a.values()):
        for j, y in enumerate(b.values()):
            assert found.distance[i][j] == pytest.approx(neuron_distance(x, y))
            assert found.cka[i][j] == pytest.approx(linear_cka(x, y))
            assert other.distance[j][i] == pytest.approx(found.distance[i][j], rel=1e-3)
            assert other.cka[j][i] == pytest.approx(found.cka[i][j])
    assert found.distance[1][2] == pytest.approx(0, abs=1e-6)
    assert found.cka[1][2] == pytest.approx(1.0)
