import pytest
import torch

from kantor.core.errors import ShapeError
from kantor.tasks import Regression, check_task


def test_one_number_a_sample_may_be_a_column():
    task, outputs, targets = Regression(), torch.tensor([[1.0], [2.0], [9.0]]), torch.tensor([1.0, 0.0])
    assert task(outputs, targets) == 2.0  # the third has no label
    assert task(outputs[:, 0], targets[:, None]) == 2.0
    assert task.loss_sums(outputs[:2], targets).tolist() == [4.0, 2.0]
    assert task.values(task.measured(outputs, targets)) == {"RMSE": pytest.approx(2**0.5), "R2": pytest.approx(-7)}


def test_several_numbers_count_alike():
    task, outputs, targets = Regression(), torch.zeros(4, 3), torch.ones(4, 3)
    assert task.loss_sums(outputs, targets).tolist() == [12.0, 12.0]
    assert task(outputs, targets) == 1.0


def test_it_is_judged_by_what_is_lower_the_better_in_the_labels_unit():
    scale = Regression(unit="m").scale
    assert (scale.name, scale.unit, scale.higher_is_better) == ("RMSE", "m", False)


@pytest.mark.parametrize(
    ("outputs", "targets", "says"),
    [
        (torch.zeros(4, 3), torch.zeros(4), r"outputs are \[4, 3\], the targets \[4\]"),
        (torch.zeros(4, 1), torch.tensor([1.0, float("nan"), 0, 0]), "not finite"),
    ],
)
def test_labels_that_do_not_fit(outputs, targets, says):
    with pytest.raises(ShapeError, match=says):
        check_task(Regression(), outputs, targets)
