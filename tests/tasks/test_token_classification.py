import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kantor.core.errors import ShapeError
from kantor.data import Batch
from kantor.losses import NeuronTransport
from kantor.objective import Objective, Term
from kantor.tasks import TokenClassification, check_task

OUTPUTS = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))


def test_padding_counts_nowhere():
    task, targets = TokenClassification(), OUTPUTS.argmax(-1)
    targets[1, 2:] = -100
    targets[0, 0] = (targets[0, 0] + 1) % 3
    known = targets.flatten() >= 0
    want = F.cross_entropy(OUTPUTS.flatten(0, 1)[known], targets.flatten()[known])
    torch.testing.assert_close(task(OUTPUTS, targets), want)
    assert task.values(task.measured(OUTPUTS, targets)) == {"accuracy": pytest.approx(5 / 6)}
    loss, counted = task.loss_sums(OUTPUTS, targets).tolist()
    assert counted == 6
    assert loss / counted == pytest.approx(want.item(), rel=1e-6)
    assert task.confusion(OUTPUTS, targets).sum() == 6


def test_labels_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"every token.*targets \[2, 3\]"):
        check_task(TokenClassification(), OUTPUTS, torch.zeros(2, 3, dtype=torch.long))


def test_as_many_tokens_as_classes_are_no_mistake_of_axes():
    class Tagger(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.hidden, self.head = nn.Linear(5, width), nn.Linear(width, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.hidden(x).relu())

    student = Tagger(4)
    objective = Objective(
        student, {"big": Tagger(8)}, [Term(NeuronTransport(), "hidden", "hidden")], task=TokenClassification()
    )
    x = torch.randn(8, 3, 5)
    targets = x.argmax(-1) % 3
    batch = Batch({"student": x, "teacher": x}, targets)
    facts = objective.check(batch, quiet=True)
    assert facts.teachers[0].scored.endswith("% right")
    torch.testing.assert_close(
        objective(batch).terms["task"], F.cross_entropy(student(x).flatten(0, 1), targets.flatten())
    )
