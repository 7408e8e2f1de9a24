"""A step in parts is the step of the whole batch."""

import copy

import pytest
import torch
from torch import nn

from kantor import losses
from kantor.core.errors import ConfigError
from kantor.data import Batch
from kantor.objective import Objective, Term
from kantor.objective.limits import Limits
from kantor.training import Training
from kantor.training.step import Stepper


def network(width: int) -> nn.Module:
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))


def a_batch(samples: int = 24) -> Batch:
    torch.manual_seed(1)
    x = torch.randn(samples, 6)
    return Batch({"student": x, "teacher": x}, torch.randint(3, (samples,)), torch.arange(samples))


def stepped(tmp_path, accumulate: int, terms, batch: Batch, steps: int = 3):
    student = network(5)
    objective = Objective(student, {"t": network(8)}, copy.deepcopy(terms), samples=64)
    objective.check(batch, quiet=True)
    config = Training(device="cpu", accumulate=accumulate, clip=1.0)
    stepper = Stepper(objective, config, tmp_path)
    found = [stepper.step(batch, number, 0.1, None) for number in range(steps)]
    stepper.close()
    return student, objective, found


def test_parts_take_the_step_of_the_whole_batch(tmp_path):
    terms = [Term(losses.KD(), weight=1.0)]
    whole, _, one = stepped(tmp_path, 1, terms, a_batch())
    parts, _, four = stepped(tmp_path, 4, terms, a_batch())
    for ours, theirs in zip(parts.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    assert four[-1].values == pytest.approx(one[-1].values, rel=1e-5)
    assert four[-1].counts.keys() == one[-1].counts.keys()
    for name, counted in four[-1].counts.items():
        assert torch.allclose(counted, one[-1].counts[name]), name


def test_a_loss_without_gradient_is_refused(tmp_path):
    class Detached(nn.Linear):
        def forward(self, input):  # noqa: A002
            return super().forward(input).detach()

    stepper = Stepper(Objective(Detached(6, 3), {}, []), Training(device="cpu"), tmp_path)
    with pytest.raises(ConfigError, match="The loss has no gradient: the network's outputs are detached"):
        stepper.step(a_batch(), 0, 0.1, None)
    stepper.close()


def test_a_loss_keeps_its_state_once_a_step_over_all_parts(tmp_path):
    terms = [Term(losses.NeuronTransport(), "1", "t:1", weight=0.0)]  # without a pull, both students are the same
    _, whole, _ = stepped(tmp_path, 1, terms, a_batch(), steps=1)
    _, parts, _ = stepped(tmp_path, 3, terms, a_batch(), steps=1)
    ours, theirs = parts.state_dict(), whole.state_dict()
    kept = [key for key in ours if "slow" in key]
    assert any(key.endswith("seen_cross") for key in kept)
    for key in kept:
        assert torch.allclose(ours[key].double(), theirs[key].double(), atol=1e-5), key


def test_every_part_has_its_share_of_labels():
    x = torch.arange(10.0).unsqueeze(1)
    batch = Batch({"student": x, "teacher": x}, torch.arange(4), torch.arange(10))
    parts = batch.parts(2)
    assert [part.targets.tolist() for part in parts if part.targets is not None] == [[0, 1], [2, 3]]
    assert [part.ids.tolist() for part in parts if part.ids is not None] == [[0, 1, 4, 5, 6], [2, 3, 7, 8, 9]]
    assert parts[0].inputs["student"] is parts[0].inputs["teacher"]
    assert batch.parts(1) == [batch] and len(a_batch(2).parts(5)) == 2


def test_a_mapping_is_cut_as_a_tensor_is():
    text = {"input_ids": torch.arange(12).reshape(6, 2), "attention_mask": torch.ones(6, 2)}
    parts = Batch({"student": text, "teacher": text}, torch.arange(6)).parts(3)
    first = parts[0].inputs["student"]
    assert not isinstance(first, torch.Tensor) and first["input_ids"].tolist() == [[0, 1], [2, 3]]


def test_more_parts_than_samples_are_refused():
    with pytest.raises(ConfigError, match="accumulate 9 is more parts"):
        Training(batch_size=8, accumulate=9).check()
    with pytest.raises(ConfigError, match="accumulate is at least 1"):
        Training(accumulate=0).check()


def test_parts_with_other_numbers_of_labels_take_the_step_of_the_whole_batch(tmp_path):
    batch = a_batch()
    assert batch.targets is not None
    for unlabelled in (slice(0, 5), slice(0, 7), slice(6, 24)):  # the second leaves a part without any
        targets = batch.targets.clone()
        targets[unlabelled] = -100
        ignored = Batch(batch.inputs, targets, batch.ids)
        whole, _, one = stepped(tmp_path, 1, [], ignored)
        parts, _, four = stepped(tmp_path, 4, [], ignored)
        for ours, theirs in zip(parts.parameters(), whole.parameters(), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)
        assert four[-1].values == pytest.approx(one[-1].values, rel=1e-5)


def test_a_limit_takes_one_look_a_step_on_the_first_part(tmp_path, monkeypatch):
    looks = []
    real = Limits.look
    monkeypatch.setattr(Limits, "look", lambda self, *rest: (looks.append(int(self.steps)), real(self, *rest)))
    stepped(tmp_path, 3, [Term(losses.KD())], a_batch(), steps=2)
    assert looks == [0, 0, 1], "one at step 0, and one at each step"
