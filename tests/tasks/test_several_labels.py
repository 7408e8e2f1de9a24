import pytest
import torch
import torch.nn.functional as F

from kantor.core.errors import ShapeError
from kantor.tasks import SeveralLabels, check_task


def test_the_mean_over_labels_and_samples():
    task, outputs = SeveralLabels(), torch.randn(5, 3)
    targets = torch.randint(0, 2, (4, 3))
    want = F.binary_cross_entropy_with_logits(outputs[:4], targets.float())
    torch.testing.assert_close(task(outputs, targets), want)
    loss, counted = task.loss_sums(outputs[:4], targets).tolist()
    assert loss / counted == pytest.approx(want.item(), rel=1e-6)


def test_all_that_is_true_and_nothing_else():
    targets = torch.tensor([[1, 0], [0, 1]])
    task = SeveralLabels()
    assert task.values(task.measured(targets * 2.0 - 1, targets)) == {"F1": 1.0, "macro F1": 1.0}


@pytest.mark.parametrize(
    ("targets", "says"),
    [(torch.zeros(4), r"matrix of 0 and 1.*targets \[4\]"), (torch.full((4, 3), 2), "hold 2 to 2.*regression")],
)
def test_labels_that_do_not_fit(targets, says):
    with pytest.raises(ShapeError, match=says):
        check_task(SeveralLabels(), torch.zeros(4, 3), targets)
