"""What looks at many samples holds a batch's maps at a time, and no graph: memory does not grow with their number."""

import weakref

import pytest
import torch

import kantor
from kantor.analysis.activations import activations
from kantor.faculty.outputs import outputs_of
from kantor.training.evaluate import evaluate
from kantor.training.linear_probe import features_of

LOOKS = {
    "evaluate": lambda model, part, folder: evaluate(model, part, batch_size=100),
    "rank": lambda model, part, folder: outputs_of(model, part, folder, role="student", batch_size=100),
    "compare": lambda model, part, folder: activations(model, part, ["layer1"], batch_size=100),
    "probe": lambda model, part, folder: features_of(model, part, ["layer1"]),
}


class Maps:
    """What a layer has given so far: whether it had a graph, and how many of the maps before are held at each call."""

    def __init__(self, layer: torch.nn.Module) -> None:
        self.seen: list[weakref.ref[torch.Tensor]] = []
        self.held: list[int] = []
        self.followed: list[bool] = []
        layer.register_forward_hook(self._look)

    def _look(self, module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        self.held.append(sum(known() is not None for known in self.seen))
        self.followed.append(output.requires_grad)
        self.seen.append(weakref.ref(output))


@pytest.mark.parametrize("look", LOOKS)
def test_the_maps_of_earlier_batches_are_let_go(look, tmp_path):
    pytest.importorskip("sklearn")
    data = kantor.open_data("digits")
    model = kantor.load("cnn@width=8", classes=data.classes, input_shape=(1, 8, 8))
    maps = Maps(model.network.get_submodule("layer1"))
    LOOKS[look](model, data.train, tmp_path)
    assert len(maps.held) > 3
    assert not any(maps.followed)
    assert max(maps.held) <= 1, "a batch's maps outlive the next one"


def test_what_is_held_is_seen():
    layer = torch.nn.Linear(2, 3)
    maps = Maps(layer)
    kept = [layer(torch.zeros(4, 2)) for _ in range(4)]
    assert maps.held == [0, 1, 2, 3]
    assert all(maps.followed)
    assert len(kept) == 4
