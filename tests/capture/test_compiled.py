import pytest
import torch
from torch import nn

from kantor.capture import candidates, capture
from kantor.capture.compiled import is_compiled, named_layers, plain
from kantor.capture.hooks import find


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Linear(6, 5), nn.ReLU()), nn.Linear(5, 3))


def whole() -> nn.Module:
    return torch.compile(network(), backend="eager")  # type: ignore[return-value]


def in_place() -> nn.Module:
    found = network()
    found.compile(backend="eager")
    return found


def a_part() -> nn.Module:
    found = network()
    found[0] = torch.compile(found[0], backend="eager")  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("make", [whole, in_place, a_part])
def test_a_compiled_network_is_read_as_the_one_it_was_made_of(make):
    x = torch.randn(4, 6)
    plainly, compiled, paths = network(), make(), ["0", "0.0", "penultimate", "logits"]
    with capture(plainly, paths) as want:
        plainly(x)
    compiled(x)  # compiled before anything is hooked
    with capture(compiled, paths) as layers:
        compiled(x)
    for path in want:
        torch.testing.assert_close(layers[path], want[path])
    assert is_compiled(compiled)
    assert [layer.path for layer in candidates(compiled, x)] == ["0.0", "0.1", "0", "1"]
    assert [name for name, _ in named_layers(compiled)] == ["", "0", "0.0", "0.1", "1"]


def test_paths_may_be_written_with_or_without_the_wrapper():
    compiled = a_part()
    assert find(compiled, "0.0") is find(compiled, "0._orig_mod.0")
    assert plain("_orig_mod.0._orig_mod.0.weight") == "0.0.weight"
    assert not is_compiled(network())
