"""Units that are kept, and the gates that say which."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.func import functional_call

from kantor import load, pruned
from kantor.carry.gates import gated
from kantor.carry.trace import follow
from kantor.carry.units import expanded
from kantor.core.errors import ConfigError, DataError, ShapeError
from kantor.models import Model
from kantor.models.builtin.resnet import ResNet
from kantor.models.builtin.vit import ViT

DRAWN = torch.Generator().manual_seed(0)
IMAGES = torch.randn(24, 2, 8, 8, generator=DRAWN)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    ),
    "resnet": lambda: ResNet(8, 3, (2, 8, 8), width=0.25),
    "vit": lambda: ViT(3, (2, 8, 8), patch=4, dim=8, depth=1, heads=2),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_unit_with_a_gate_of_zero_is_not_there_and_one_with_one_is_as_it_was(kind):
    torch.manual_seed(1)
    network = NETWORKS[kind]().eval()
    tensors = dict(network.named_parameters())
    followed = follow(network, IMAGES)
    factors = {
        place.factor: None
        for name, dim in followed.summed
        for place in expanded(followed.parameters[name][dim])
        if not place.factor.fixed and not place.factor.concatenation
    }
    with torch.no_grad():
        whole = network(IMAGES)
        for factor in factors:
            open_, one = torch.ones(factor.size), torch.ones(factor.size)
            one[0] = 0
            torch.testing.assert_close(
                functional_call(network, gated(followed, tensors, {factor: open_}), IMAGES), whole
            )
            changed = gated(followed, tensors, {factor: one})
            assert not torch.allclose(functional_call(network, changed, IMAGES), whole)
            # Whatever the unit's own weights are: nobody reads it.
            for name in changed:
                assert changed[name].abs().lt(1e-5).any()


class Wide(nn.Module):
    """Of every layer's units the even ones alone are read."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, width), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, x):
        return self.out(torch.relu(self.two(torch.relu(self.one(x)))))


def of_halves() -> tuple[Model, Model]:
    torch.manual_seed(0)
    teacher, student = Wide(8), Wide(4)
    with torch.no_grad():
        for layer in (teacher.two, teacher.out):
            layer.weight[:, 1::2] *= 1e-4
    return tuple(Model(network.eval(), name="wide", input_shape=(6,), num_classes=3) for network in (teacher, student))  # type: ignore[return-value]


@pytest.mark.parametrize("by", ["topk", "magnitude"])
def test_the_units_that_matter_are_found(by):
    teacher, student = of_halves()
    rows = torch.randn(128, 6, generator=DRAWN)
    before = copy.deepcopy(teacher.network.state_dict())
    found = pruned(teacher, student, [rows[:64], rows[64:]], by=by, steps=60)
    with torch.no_grad():
        torch.testing.assert_close(student.network(rows), teacher.network(rows), atol=1e-3, rtol=1e-3)
    assert [str(group) for group in found.groups] == ["one.weight: 4 of 8 units", "two.weight: 4 of 8 units"]
    kept = found.plans["one"]  # the teacher's units in rows
    torch.testing.assert_close(kept, torch.eye(8)[:, ::2] / 4)
    for name, value in teacher.network.state_dict().items():
        assert torch.equal(value, before[name]), "the teacher is left as it is"
    assert not teacher.network.training


def test_gates_see_what_norms_do_not():
    """A unit that is read by large weights and never moves is worth nothing."""
    teacher, student = of_halves()
    with torch.no_grad():
        teacher.network.one.weight[1::2] = 0  # type: ignore[index]
        teacher.network.one.bias[1::2] = -1  # type: ignore[index]
        teacher.network.two.weight[:, 1::2] = 100  # type: ignore[index]
    rows = torch.randn(128, 6, generator=DRAWN)
    apart = {}
    for by in ("topk", "magnitude"):
        pruned(teacher, student, [rows], by=by, steps=200)
        with torch.no_grad():
            apart[by] = (student.network(rows) - teacher.network(rows)).abs().max().item()
    assert apart["topk"] < 1e-2 < 0.1 < apart["magnitude"]


class Attends(nn.Module):
    def __init__(self, head: int) -> None:
        super().__init__()
        self.head, self.q, self.k, self.out = head, nn.Linear(5, 2 * head), nn.Linear(5, 2 * head), nn.Linear(10, 3)

    def forward(self, x):
        q, k = (layer(x).unflatten(-1, (2, self.head)).transpose(1, 2) for layer in (self.q, self.k))
        weights = (q @ k.transpose(-1, -2) / self.head**0.5).softmax(-1)
        return self.out((weights @ x.unsqueeze(1)).transpose(1, 2).flatten(2)).mean(1)


@pytest.mark.parametrize("by", ["topk", "magnitude"])
def test_what_queries_and_keys_share_keeps_its_scale(by):
    torch.manual_seed(0)
    networks = Attends(8).eval(), Attends(4)
    with torch.no_grad():
        for layer in (networks[0].q, networks[0].k):
            for one in (layer.weight, layer.bias):
                one.unflatten(0, (2, 8))[:, ::2] = 0  # of each head the even ones say nothing
    teacher, student = (Model(n, name="attends", input_shape=(4, 5), num_classes=3) for n in networks)
    rows = torch.randn(64, 4, 5, generator=DRAWN)
    pruned(teacher, student, [rows], by=by, steps=40)
    with torch.no_grad():
        torch.testing.assert_close(student.network(rows), teacher.network(rows), atol=1e-5, rtol=1e-5)


def test_a_single_number_is_held_as_one():
    teacher, student = of_halves()
    teacher.network.out, student.network.out = nn.Linear(8, 1), nn.Linear(4, 1)
    with torch.no_grad():
        teacher.network.out.weight[:, 1::2] = 0
        teacher.network.one.weight[1::2], teacher.network.one.bias[1::2] = 0, -1  # type: ignore[index]
        teacher.network.two.weight[:, 1::2] = 100  # type: ignore[index]
    teacher.num_classes = student.num_classes = 1
    rows = torch.randn(128, 6, generator=DRAWN)
    pruned(teacher, student, [rows], steps=200)
    with torch.no_grad():
        torch.testing.assert_close(student.network(rows), teacher.network(rows), atol=1e-2, rtol=1e-2)
    with pytest.raises(ShapeError, match="of one nothing can be learnt"):
        pruned(teacher, student, [rows], numbers=False)


def test_it_is_the_same_whenever_it_is_done_with_one_seed():
    teacher = load("cnn@width=8", classes=3, input_shape=(1, 8, 8))
    batches = [torch.rand(16, 1, 8, 8, generator=DRAWN) for _ in range(2)]
    made = []
    for seed in (0, 0, 1):
        student = load("cnn@width=4", classes=3, input_shape=(1, 8, 8))
        pruned(teacher, student, iter(batches), by="random", seed=seed)
        made.append(student.network.state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert not all(torch.equal(made[0][name], made[2][name]) for name in made[0])


def test_what_cannot_be_pruned_is_named():
    teacher, student = of_halves()
    rows = [torch.randn(8, 6)]
    with pytest.raises(ConfigError, match=r"unknown choice 'topc'.*topk"):
        pruned(teacher, student, rows, by="topc")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="steps is 0"):
        pruned(teacher, student, rows, steps=0)
    with pytest.raises(ConfigError, match="samples is 1"):
        pruned(teacher, student, rows, samples=1)
    with pytest.raises(DataError, match="no data"):
        pruned(teacher, student, [])
