"""The plan of a start, layer by layer: what it holds, how it is kept, and what a loss makes of it."""

import numpy as np
import pytest
import torch

import kantor
from kantor.carry import LayerPlans, carry
from kantor.core.errors import ConfigError, DataError, ShapeError
from kantor.losses import NeuronTransport, neuron_transport
from kantor.models.builtin.resnet import ResNet

from .test_carried import Convolutions, Perceptron


def carried(teacher, student, shape):
    torch.manual_seed(0)
    return carry(teacher, student, [torch.randn(40, *shape)])


def test_every_unit_of_the_teachers_has_the_same_mass_and_a_place():
    teacher, student = Convolutions(8), Convolutions(4)
    plans = carried(teacher, student, (2, 8, 8)).plans
    assert {"stem", "bn", "deep", "grouped", "up"} <= plans.keys() and plans["fc.input"].shape == (128, 64)
    for layer, plan in plans.items():
        torch.testing.assert_close(plan.sum(1), torch.full((len(plan),), 1 / len(plan)), msg=layer)
        assert ((plan > 0).sum(1) == 1).all(), layer
    # A flattening keeps positions apart: channel c at position p goes to its group at p.
    channels, flat = plans["up"] > 0, plans["fc.input"] > 0
    assert torch.equal(flat, torch.kron(channels, torch.eye(16)).bool())


def test_blocks_that_come_from_others_have_their_plans():
    found = carried(ResNet(20, 3, (3, 32, 32)), ResNet(8, 3, (3, 32, 32), width=0.5), (3, 16, 16))
    assert found.plans["layer3"].shape == (64, 32) and found.plans["layer3.0"].shape == (64, 32)


def test_what_was_averaged_costs_nothing_under_the_plan():
    """Every unit of the teacher's there twice: the student's are the same functions."""
    teacher, student = Perceptron(8), Perceptron(4)
    with torch.no_grad():
        order = torch.tensor([3, 0, 1, 2, 2, 1, 0, 3])
        for parameter in teacher.fc1.parameters():
            parameter.copy_(parameter[order])
    plans = carried(teacher, student, (6,)).plans
    x = torch.randn(50, 6)
    ours, theirs = student.fc1(x), teacher.fc1(x)
    held = neuron_transport(ours, theirs, plan=plans["fc1"])
    assert held < 1e-6
    assert neuron_transport(ours, theirs, plan=plans["fc1"].roll(1, 0)) > 0.01
    loss = NeuronTransport(plan="start")
    loss.hold(plans["fc1"])
    loss.build((ours.shape,), (theirs.shape,), 50)
    torch.testing.assert_close(loss(ours, theirs), held)


def test_more_units_share_the_mass_of_the_one_that_they_copy():
    plan = carried(Perceptron(4), Perceptron(8), (6,)).plans["fc1"]
    torch.testing.assert_close(plan.sum(1), torch.full((4,), 0.25))
    assert ((plan > 0).sum(0) == 1).all()


def test_plans_are_kept(tmp_path):
    plans = carried(Perceptron(8), Perceptron(4), (6,)).plans
    plans.write(tmp_path / "seed-0.plans.npz")
    again = LayerPlans.read(tmp_path / "seed-0.plans.npz")
    assert again.keys() == plans.keys()
    assert all(torch.equal(again[layer], plans[layer]) for layer in plans)
    with np.load(tmp_path / "seed-0.plans.npz") as file:
        arrays = dict(file)
    for change in ({"fc1/units": arrays["fc1/units"] + 100}, {"fc1/shape": np.array(["a", "b"])}):
        np.savez(tmp_path / "seed-0.plans.npz", **arrays | change)
        with pytest.raises(DataError, match=r"seed-0\.plans\.npz holds no plans"):
            LayerPlans.read(tmp_path / "seed-0.plans.npz")
    with pytest.raises(DataError, match="nowhere"):
        LayerPlans.read(tmp_path / "nowhere.npz")


def test_without_a_start_there_is_no_plan_to_hold():
    student, teacher = (kantor.load(f"mlp@hidden={n}@normalise=none", classes=3, input_shape=(6,)) for n in (4, 8))
    batch = {"student": torch.randn(20, 6), "teacher": torch.randn(20, 6), "targets": torch.arange(20) % 3}
    term = kantor.Term(NeuronTransport(plan="start"))
    with pytest.raises(ConfigError, match="start the student by transport"):
        kantor.Objective(student, {"teacher": teacher}, [term]).check((batch["student"], batch["targets"]))
    plans = kantor.transported(teacher, student, [batch["student"]]).plans
    facts = kantor.Objective(student, {"teacher": teacher}, [term], start_plans=plans).check(
        (batch["student"], batch["targets"]), quiet=True
    )
    assert "plan='start'" in str(facts)


def test_a_plan_is_for_the_layer_of_its_name_in_both():
    student, teacher = (kantor.load("mlp@hidden=8@normalise=none", classes=3, input_shape=(6,)) for _ in range(2))
    x, y = torch.randn(20, 6), torch.arange(20) % 3
    plans = kantor.transported(teacher, student, [x]).plans
    term = kantor.Term(NeuronTransport(plan="start"), student="layers.0", teacher="layers.1")
    with pytest.raises(ConfigError, match="for these layers there is none"):
        kantor.Objective(student, {"teacher": teacher}, [term], start_plans=plans).check((x, y))


def test_layers_of_other_widths_have_another_plan():
    loss = NeuronTransport(plan="start")
    loss.hold(torch.full((8, 4), 1 / 32))
    with pytest.raises(ShapeError, match=r"16 teacher and 4 student neurons here, and the start's plan is \(8, 4\)"):
        loss.build((torch.Size((9, 4)),), (torch.Size((9, 16)),), 9)
