import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.models import load

IDS = torch.randint(0, 50, (2, 8), generator=torch.Generator().manual_seed(0))


def gpt():
    torch.manual_seed(0)
    return load("gpt@dim=16@depth=2@heads=2", classes=50, input_shape=(8, 50)).eval()


def test_no_token_sees_what_comes_after_it():
    network = gpt().network
    other = IDS.clone()
    other[:, 5:] = 1
    assert torch.equal(network(IDS)[:, :5], network(other)[:, :5])
    assert not torch.allclose(network(IDS)[:, 5:], network(other)[:, 5:])
    assert torch.allclose(network(IDS[:, :5]), network(IDS)[:, :5], atol=1e-6)  # nor what stands there for padding


def test_the_head_is_the_embedding_and_both_are_saved_once(tmp_path):
    model = gpt()
    model.save(tmp_path / "student.safetensors")
    again = load(str(tmp_path / "student.safetensors")).eval()
    assert again.network.head.weight is again.network.embedding.weight
    assert torch.equal(model.network(IDS), again.network(IDS))


def test_it_is_no_classifier():
    with pytest.raises(ConfigError, match="--task next_token"):
        load("gpt", classes=2, input_shape=(8, 50))
    with pytest.raises(ConfigError, match="heads must divide"):
        load("gpt@dim=10@heads=4", classes=50, input_shape=(8, 50))
    with pytest.raises(ConfigError, match="reads texts"):
        load("gpt", classes=50, input_shape=(3, 8, 8))


def test_a_text_longer_than_its_positions_is_refused():
    with pytest.raises(ShapeError, match="made for 8 tokens, and sees 9"):
        gpt().network(torch.zeros(1, 9, dtype=torch.int64))
