"""What step 0 says of what trains nothing."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from kantor.models import load
from kantor.objective import Objective, Term


class Net(nn.Module):
    """A student in two parts; a way to run the first one; and a head that is not used."""

    def __init__(self, run=lambda part, x: part(x), spare: bool = False) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(4, 3)
        self.run = run
        if spare:
            self.spare = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.second(self.run(self.first, x)).mean((2, 3)))


def without_grad(part, x):
    with torch.no_grad():
        return part(x)


def in_inference(part, x):
    with torch.inference_mode():
        out = part(x)
    return out.clone()


def reentrant(part, x):
    return checkpoint(part, x, use_reentrant=True)


def notes_of(student: nn.Module, *terms: Term) -> list[str]:
    torch.manual_seed(0)
    teacher = load("cnn@width=8", classes=3, input_shape=(1, 8, 8))
    objective = Objective(student, {"t": teacher}, list(terms) or [Term.named("kd")])
    return objective.check(torch.rand(6, 1, 8, 8), torch.arange(6) % 3, quiet=True).notes


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("run", [without_grad, in_inference, reentrant])
def test_a_part_that_no_gradient_reaches_is_named(run):
    (note,) = [
        note for note in notes_of(Net(run), Term.named("kd"), Term.named("neuron_transport")) if "stay as" in note
    ]
    assert note.startswith("40 of the student's 203 trained parameters (first.0.weight, first.0.bias) stay as they are")


def test_a_penalty_on_all_weights_trains_nothing_unused():
    student = Net(spare=True)
    source = {name: p.detach() + 1 for name, p in student.named_parameters()}
    objective = Objective(student, {}, [Term.named("l2_sp")], source=source)
    facts = objective.check(torch.rand(6, 1, 8, 8), torch.arange(6) % 3, quiet=True)
    assert any("(spare.weight, spare.bias) stay as they are" in note for note in facts.notes)


def test_nothing_is_said_where_all_is_trained_or_frozen_on_purpose():
    student = Net()
    assert not any("stay as they are" in note for note in notes_of(student))
    student.first.requires_grad_(False)
    assert not any("stay as they are" in note for note in notes_of(student))
