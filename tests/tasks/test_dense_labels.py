import pytest
import torch
import torch.nn.functional as F

from kantor.core.errors import ShapeError
from kantor.tasks import DenseLabels, check_task

OUTPUTS = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("nothing", [255, -100])
def test_positions_without_a_label_count_nowhere(nothing):
    task, targets = DenseLabels(), OUTPUTS.argmax(1)
    wrong = OUTPUTS.clone()
    wrong[0, :, 0, 0] = torch.tensor([-9.0, -9.0, 9.0])
    targets[0, 0, 0] = nothing
    torch.testing.assert_close(task(wrong, targets), F.cross_entropy(wrong, targets, ignore_index=nothing))
    values = task.values(task.measured(wrong, targets))
    assert values == {"mIoU": 1.0, "pixel accuracy": 1.0}
    assert task.loss_sums(wrong, targets)[1] == task.confusion(wrong, targets).sum() == 39


def test_labels_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"every position.*targets \[2, 4\]"):
        check_task(DenseLabels(), OUTPUTS, torch.zeros(2, 4, dtype=torch.long))
    with pytest.raises(ShapeError, match="class 3"):
        check_task(DenseLabels(), OUTPUTS, torch.full((2, 4, 5), 3))
