import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kantor.core.errors import ConfigError, ShapeError
from kantor.data import Batch
from kantor.losses import DKD, KD
from kantor.objective import Objective, Term
from kantor.tasks import Classification, TokenClassification
from tests.objective.networks import a_batch, network

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.5]])


def with_targets(targets: torch.Tensor) -> Batch:
    return Batch(a_batch(len(targets)).inputs, targets, torch.arange(len(targets)))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float32, torch.float64, torch.bool])
def test_one_hot_and_class_numbers_of_any_type_are_one_task(dtype):
    numbers = torch.tensor([0, 1, 2])
    want = F.cross_entropy(LOGITS, numbers)
    torch.testing.assert_close(Classification()(LOGITS, F.one_hot(numbers, 3).to(dtype)), want)
    if not dtype.is_floating_point and dtype != torch.bool:
        torch.testing.assert_close(Classification()(LOGITS, numbers.to(dtype)), want)


def test_mixed_labels_train_and_are_scored_by_their_largest_share():
    mixed = 0.7 * F.one_hot(torch.arange(16) % 4, 4) + 0.3 * F.one_hot((torch.arange(16) + 1) % 4, 4)
    student = network(4).eval()
    objective = Objective(student, {"big": network(8)}, [Term(KD())])
    facts = objective.check(with_targets(mixed), quiet=True)
    assert facts.teachers[0].accuracy is not None
    batch = with_targets(mixed)
    torch.testing.assert_close(objective(batch).terms["task"], F.cross_entropy(student(batch.inputs["student"]), mixed))


def test_several_labels_a_sample_train_with_a_loss_for_them():
    several = torch.randint(0, 2, (16, 4)).float()
    several[0] = torch.tensor([1.0, 1.0, 0.0, 1.0])
    objective = Objective(network(4), {"big": network(8)}, [Term(KD())], task=F.binary_cross_entropy_with_logits)
    assert objective.check(with_targets(several), quiet=True).teachers[0].accuracy is None
    assert objective(with_targets(several)).loss.isfinite()


SEVERAL = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]]).repeat(8, 1)


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (SEVERAL, "several labels a sample, or none.*binary_cross_entropy_with_logits"),
        (SEVERAL.float(), "several labels a sample"),
        (torch.randn(16, 4), "no probabilities.*mse_loss"),
        (torch.rand(16), "class numbers as integers.*mse_loss"),
        (torch.zeros(16, 1, dtype=torch.long), r"class numbers \[16\] or probabilities \[16, 4\]"),
        (torch.arange(16), "class 4, and the student has 4 logits"),
        (torch.full((16,), -1), "hold -1, which is no class.*without a label come last.*-100"),
        (torch.zeros(16, 7), r"probabilities \[16, 4\]; the logits are \[16, 4\], the targets \[16, 7\]"),
    ],
)
def test_targets_that_cross_entropy_cannot_mean_are_refused_with_what_can(targets, says):
    objective = Objective(network(4), {}, [])
    with pytest.raises(ShapeError, match=says):
        objective.check(with_targets(targets), quiet=True)


def test_targets_and_samples_of_other_numbers():
    batch = Batch(a_batch(8).inputs, torch.arange(16) % 4)
    with pytest.raises(ShapeError, match="8 samples and targets"):
        Objective(network(4), {}, []).check(batch, quiet=True)


def test_labels_per_token_are_told_how_and_pixels_just_work():
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 9)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x[:, 0])

    x, targets = torch.rand(8, 1, 6, 6), torch.randint(0, 9, (8, 6))
    batch = Batch({"student": x, "teacher": x}, targets)
    with pytest.raises(ShapeError, match=r"label per token.*TokenClassification"):
        Objective(Tokens(), {}, []).check(batch, quiet=True)
    Objective(Tokens(), {}, [], task=TokenClassification()).check(batch, quiet=True)
    per_token = lambda logits, targets: F.cross_entropy(logits.transpose(1, 2), targets)  # noqa: E731
    Objective(Tokens(), {}, [], task=per_token).check(batch, quiet=True)
    pixels = Batch({"student": x, "teacher": x}, torch.randint(0, 4, (8, 6, 6)))
    Objective(nn.Conv2d(1, 4, 1), {}, []).check(pixels, quiet=True)


def test_a_task_of_ones_own_that_cannot_take_them_is_shown_with_shapes():
    with pytest.raises(ShapeError, match=r"cannot take logits \[16, 4\] with targets \[16\] of int64"):
        Objective(network(4), {}, [], task=F.binary_cross_entropy_with_logits).check(a_batch(), quiet=True)


def test_a_loss_that_needs_class_numbers_says_so():
    mixed = torch.full((16, 4), 0.25)
    with pytest.raises(ConfigError, match=r"dkd needs one class number a sample.*\[16, 4\]"):
        Objective(network(4), {"big": network(8)}, [Term(DKD())]).check(with_targets(mixed), quiet=True)


def test_the_sum_of_the_loss_and_the_labels_that_count():
    targets = torch.tensor([0, -100, 2])
    loss, counted = Classification().loss_sums(LOGITS, targets).tolist()
    assert counted == 2
    assert loss / counted == pytest.approx(F.cross_entropy(LOGITS[[0, 2]], targets[[0, 2]]).item())
    soft = F.one_hot(torch.tensor([0, 1, 2]), 3)
    assert Classification().loss_sums(LOGITS, soft)[1] == 3


def test_confusion_counts_labels_by_what_is_said_of_them():
    found = Classification().confusion(LOGITS, torch.tensor([0, 2, 2]))
    assert found.tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 0]]
