"""A task: what a task of one's own inherits, and what its files and tables are told."""

import math

import pytest
import torch
import torch.nn.functional as F

from kantor.core.errors import ShapeError
from kantor.tasks import Classification, NextToken, Regression, Task, check_task
from kantor.tasks.metrics import Metric
from kantor.tasks.task import labelled

LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 2, 1, -100, 2, 0])


class Smooth(Classification):
    """Classification with a loss of its own, and nothing else."""

    def loss(self, outputs, targets):
        return F.cross_entropy(outputs, targets.long(), label_smoothing=0.5)


class Absolute(Regression):
    """Numbers by their absolute error."""

    def loss(self, outputs, targets):
        return (outputs - targets).abs().mean()


def test_the_loss_that_is_reported_is_the_tasks_own():
    total, counted = Smooth().loss_sums(LOGITS, TARGETS).tolist()
    assert counted == 5, "labels count as they did before"
    assert total / counted == pytest.approx(F.cross_entropy(LOGITS, TARGETS, label_smoothing=0.5).item(), rel=1e-6)
    assert total != pytest.approx(Classification().loss_sums(LOGITS, TARGETS)[0].item(), rel=1e-3)
    x, y = torch.tensor([[0.0, 3.0]]), torch.tensor([[1.0, 1.0]])
    assert Absolute().loss_sums(x, y).tolist() == [3.0, 2.0]


def test_sums_of_parts_are_the_sums_of_the_whole():
    task = Smooth()
    parts = task.loss_sums(LOGITS[:4], TARGETS[:4]) + task.loss_sums(LOGITS[4:], TARGETS[4:])
    torch.testing.assert_close(parts, task.loss_sums(LOGITS, TARGETS), rtol=1e-6, atol=0.0)
    nothing = torch.full((2,), -100)
    assert task.loss_sums(LOGITS[:2], nothing).tolist() == [0.0, 0.0]


def test_who_writes_both_is_measured_by_what_was_written():
    class Both(Smooth):
        def loss_sums(self, outputs, targets):
            return torch.tensor([1.0, 2.0])

    class Below(Both):
        pass

    assert Both().loss_sums(LOGITS, TARGETS).tolist() == Below().loss_sums(LOGITS, TARGETS).tolist() == [1.0, 2.0]


def test_perplexity_stays_what_it_is_whatever_is_learned():
    class Doubled(NextToken):
        def loss(self, outputs, targets):
            return 2 * super().loss(outputs, targets)

    outputs, tokens = torch.zeros(1, 4, 8), torch.tensor([[1, 2, 3, 4]])
    task = Doubled()
    values = task.values(task.measured(outputs, tokens))
    assert values["perplexity"] == pytest.approx(8.0)
    total, counted = task.loss_sums(outputs, tokens).tolist()
    assert total / counted == pytest.approx(2 * math.log(8))


class Count(Metric):
    """How many samples were seen."""

    name = "count"

    def sums(self, outputs, targets):
        return outputs.new_tensor([len(outputs)]).double()

    def value(self, sums):
        return sums.item()


class Own(Task):
    """The least that a task is."""

    name, metrics = "own", (Count(),)

    def loss(self, outputs, targets):
        return (outputs - targets).square().mean()


def test_the_least_that_a_task_is():
    task = Own()
    outputs, targets = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([0.0, 0.0])
    assert task(outputs, targets).item() == 2.5, "what has no label comes last, and is not seen"
    assert task.loss_sums(labelled(outputs, targets), targets).tolist() == [5.0, 2.0]
    assert task.values(task.measured(outputs, targets)) == {"count": 2.0}
    assert (task.scale.name, task.labels, task.confusion(outputs, targets)) == ("count", "classes", None)


def test_half_precision_is_learned_in_float32():
    assert labelled(LOGITS.half(), TARGETS).dtype == torch.float32
    assert labelled(LOGITS.double(), TARGETS).dtype == torch.float64


@pytest.mark.parametrize("targets", [torch.tensor(1.0), torch.zeros(9)])
def test_labels_that_do_not_go_with_the_samples(targets):
    with pytest.raises(ShapeError, match="give one to each"):
        check_task(Own(), torch.zeros(3), targets)


def test_what_a_loss_cannot_take_is_said_with_both_shapes():
    with pytest.raises(ShapeError, match=r"cannot take logits \[3, 4\] with targets \[3, 5\]"):
        check_task(Own(), torch.zeros(3, 4), torch.zeros(3, 5))
