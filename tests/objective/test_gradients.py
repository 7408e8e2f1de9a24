import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from kantor.core.errors import ConfigError
from kantor.losses import AT, KD, FitNet, NeuronTransport
from kantor.objective import Objective, Term
from tests.objective.networks import a_batch, network


class Student(nn.Module):
    """A backbone under a manner of running it, and a head."""

    def __init__(self, manner: str = "plain") -> None:
        super().__init__()
        self.manner = manner
        self.stem = nn.Conv2d(1, 4, 3)
        self.block = nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU())
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.manner == "no_grad":
            with torch.no_grad():
                x = self.block(self.stem(x))
        elif self.manner == "detached":
            x = self.block(self.stem(x)).detach()
        elif self.manner in ("reentrant", "other"):
            x = checkpoint(self.block, self.stem(x), use_reentrant=self.manner == "reentrant")
        else:
            x = self.block(self.stem(x))
        return self.head(x.mean((2, 3)))


def objective(manner: str, *terms: Term) -> Objective:
    torch.manual_seed(0)
    student = Student(manner)
    return Objective(student, {"big": network(8)}, list(terms), task_weight=0.5)


@pytest.mark.parametrize("loss", [NeuronTransport, FitNet])
def test_a_term_at_a_layer_under_no_grad_is_refused_by_name(loss):
    with pytest.raises(ConfigError, match=rf"Term {loss.name} would train nothing at the student's block.*no_grad"):
        objective("no_grad", Term(loss(), "block", "2")).check(a_batch(), quiet=True)
    objective("no_grad", Term(KD())).check(a_batch(), quiet=True)


def test_everything_below_a_layer_frozen_is_refused_and_what_lies_above_is_not():
    held = objective("plain", Term(NeuronTransport(), "block", "2", name="mine"))
    held.student.stem.requires_grad_(False)
    held.student.block.requires_grad_(False)
    with pytest.raises(ConfigError, match=r"Term mine would train nothing at the student's block.*frozen"):
        held.check(a_batch(), quiet=True)
    freed = objective("plain", Term(NeuronTransport(), "block", "2"))
    freed.student.stem.requires_grad_(False)
    facts = freed.check(a_batch(), quiet=True)
    assert facts.terms[1].gradient_share > 0


def test_one_of_several_layers_without_gradient_is_said():
    student = network(4)
    student[0].requires_grad_(False)
    student[1].requires_grad_(False)
    student[2] = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 1))
    run = Objective(student, {"big": network(8)}, [Term(AT(), ["0", "2"], ["0", "2"])])
    assert "Term at trains nothing at 0: all before it is frozen" in str(run.check(a_batch(), quiet=True))


def test_a_weight_of_zero_may_train_nothing():
    objective("no_grad", Term(NeuronTransport(), "block", "2", weight=0.0)).check(a_batch(), quiet=True)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("terms", [[Term(NeuronTransport(), "block", "2")], [Term(KD())], []])
def test_reentrant_checkpointing_is_refused_with_the_other_kind(terms):
    with pytest.raises(ConfigError, match=r"reentrant.*use_reentrant=False"):
        objective("reentrant", *terms).check(a_batch(), quiet=True)


def test_the_other_checkpointing_gives_the_same_gradient_at_a_layer_inside():
    batch, found = a_batch(), []
    teacher = network(8)
    for manner in ("plain", "other"):
        torch.manual_seed(0)
        run = Objective(Student(manner), {"big": teacher}, [Term(NeuronTransport(), "block", "2")])
        run.check(batch, quiet=True)
        run(batch).loss.backward()
        found.append(run.student.get_parameter("stem.weight").grad)
    torch.testing.assert_close(*found)
    assert found[0].abs().sum() > 0


def test_a_task_without_gradient_is_refused():
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(36, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x.flatten(1)).detach()

    with pytest.raises(ConfigError, match="task loss has no gradient"):
        Objective(Detached(), {}, []).check(a_batch(), quiet=True)
