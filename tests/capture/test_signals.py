"""Signals ``[N, C, L]`` and volumes ``[N, C, D, H, W]``: what their layers look like, and a step of training."""

import pytest
import torch
from torch import nn

import kantor
from kantor import losses
from kantor.capture import candidates, capture, stages


def ear(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(2, width, 5, padding=2), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(2 * width, 3),
    )  # fmt: skip


def film(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(width, 2 * width, 3, padding=1),
        nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(2 * width, 3),
    )  # fmt: skip


class Speech(nn.Module):
    """Convolutions over a wave, then attention over frames, as wav2vec 2 has them."""

    def __init__(self) -> None:
        super().__init__()
        self.wave = nn.Sequential(nn.Conv1d(1, 6, 4, stride=4), nn.GELU())
        self.frames = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, input_values):
        return self.head(self.frames(self.wave(input_values[:, None]).mT).mean(1))


def test_a_signals_layers_are_sequences_of_positions():
    x = torch.rand(4, 2, 32)
    found = {layer.path: layer for layer in candidates(ear(4), x)}
    assert found["2"].shape == (32, 4) and found["5"].shape == (16, 8) and found["2"].kind == "tokens"
    assert found["7"].summary, "the mean over positions"
    assert [layer.path for layer in stages(ear(4), x)] == ["2", "5"]
    network = ear(4)
    with capture(network, ["0", "4.input"]) as taken:
        network(x)
    assert torch.equal(taken["0"], network[0](x).mT)
    assert taken["4.input"].shape == (4, 16, 4)
    with capture(network, ["0"], layouts={"0": "channels_last"}) as taken:
        network(x)
    assert taken["0"].shape == (4, 4, 32)


def test_convolutions_and_attention_in_one_network():
    network, x = Speech().eval(), torch.rand(4, 40)
    with capture(network, ["wave", "wave.0", "frames", "frames.linear1"]) as taken:
        network(x)
    assert {path: x.shape[1:] for path, x in taken.items()} == {
        "wave": (10, 6), "wave.0": (10, 6), "frames": (10, 6), "frames.linear1": (10, 12)
    }  # fmt: skip
    torch.testing.assert_close(taken["wave"], network.wave(x[:, None]).mT)


def test_an_images_network_is_not_asked_for_signals():
    """Channel attention by a one-dimensional convolution, over a vector of channels."""

    class Channels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.attend, self.head = nn.Conv2d(3, 4, 3), nn.Conv1d(1, 1, 3, padding=1), nn.Linear(4, 2)

        def forward(self, x):
            x = self.first(x)
            return self.head((x * self.attend(x.mean((2, 3))[:, None]).squeeze(1)[:, :, None, None]).mean((2, 3)))

    network = Channels()
    with capture(network, ["first", "attend"]) as taken:
        network(torch.rand(2, 3, 8, 8))
    assert taken["attend"].shape == (2, 1, 4) and taken["first"].shape == (2, 4, 6, 6)


def test_a_volumes_layers_are_maps_of_three_sides():
    x = torch.rand(4, 1, 4, 8, 12)
    found = stages(film(4), x)
    assert [(layer.path, layer.shape, layer.kind) for layer in found] == [
        ("1", (4, 4, 8, 12), "map"), ("4", (8, 2, 4, 6), "map")
    ]  # fmt: skip
    assert found[0].cells == 4 * 8 * 12 and found[1].width == 8
    network = film(4)
    with capture(network, ["1"]) as taken:
        network(x)
    assert taken["1"].shape == (4, 4, 4, 8, 12)


def test_a_volume_with_channels_last_becomes_channel_first():
    class Last(nn.Module):
        def forward(self, x):
            return x.movedim(1, -1)

    x, network = torch.rand(2, 3, 4, 8, 16), nn.Sequential(Last())
    with capture(network, ["0"]) as taken:
        network(x)
    assert torch.equal(taken["0"], x)


@pytest.mark.parametrize("make, shape", [(ear, (2, 32)), (film, (1, 4, 8, 12))], ids=["signal", "volume"])
@pytest.mark.parametrize("name", ["neuron_transport", "positions", "at", "nst", "fitnet", "vid", "sp", "wkd_feature"])
def test_a_loss_compares_them(make, shape, name):
    torch.manual_seed(0)
    loss = losses.NeuronTransport(spatial="positions") if name == "positions" else losses.named(name)
    x, y = torch.rand(6, *shape), torch.arange(6) % 3
    objective = kantor.Objective(make(2), {"big": make(4)}, [kantor.Term(loss)])
    objective.check(x, y, quiet=True)
    terms = objective(x, y).terms  # one of neuron transport for each of several stages
    value = torch.stack([terms[key] for key in terms if key != "task"]).sum()
    value.backward()
    assert value.item() > 0 and next(objective.student.parameters()).grad.abs().max() > 0


@pytest.mark.parametrize("name", ["ab", "ft", "reviewkd"])
def test_a_loss_of_plane_convolutions_refuses_a_volume(name):
    x = torch.rand(6, 1, 4, 8, 12)
    objective = kantor.Objective(film(2), {"big": film(4)}, [kantor.Term(losses.named(name))])
    with pytest.raises(kantor.core.errors.ShapeError, match=f"{name} .*is a volume"):
        objective.check(x, torch.arange(6) % 3)
