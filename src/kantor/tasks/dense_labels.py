"""Dense labels: a class at every position of a map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.tasks.classification import check_classes
from kantor.tasks.metrics import Accuracy, MeanIoU, Metric
from kantor.tasks.metrics.accuracy import confusion_of
from kantor.tasks.task import IGNORED, Task, type_of


class DenseLabels(Task):
    """Cross-entropy at every position, in nats, judged by mIoU over the data set and by pixel accuracy.

    Outputs are ``[batch, classes, ...]``, labels class numbers ``[batch, ...]`` on as many positions.

    Args:
        ignored: the label that marks positions without one, beside -100.
    """

    name = "dense_labels"
    labels = "maps"
    metrics: Sequence[Metric] = (MeanIoU(), Accuracy(1, "pixel accuracy"))

    def __init__(self, ignored: int = 255) -> None:
        self.ignored = ignored

    def loss(
        self, outputs: Float[Tensor, "labelled classes ..."], targets: Int[Tensor, "labelled ..."]
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(outputs, self._known(targets))

    def counted(self, targets: Int[Tensor, "labelled ..."]) -> int:
        return int((self._known(targets) >= 0).sum())

    def loss_sums(
        self, outputs: Float[Tensor, "labelled classes ..."], targets: Int[Tensor, "labelled ..."]
    ) -> Float64[Tensor, " loss_counted"]:
        known = self._known(targets)
        loss = F.cross_entropy(outputs, known, reduction="sum").double()
        return torch.stack([loss, (known >= 0).sum().double()])

    def measured(
        self, outputs: Float[Tensor, "batch classes ..."], targets: Int[Tensor, "labelled ..."]
    ) -> dict[str, Float64[Tensor, "..."]]:
        return super().measured(outputs, self._known(targets))

    def confusion(
        self, outputs: Float[Tensor, "labelled classes ..."], targets: Int[Tensor, "labelled ..."]
    ) -> Int[Tensor, "classes classes"]:
        return confusion_of(outputs.argmax(1).flatten(), self._known(targets).flatten(), outputs.shape[1])

    def check(self, outputs: Float[Tensor, "labelled classes ..."], targets: Int[Tensor, "labelled ..."]) -> None:
        if outputs.ndim < 3 or targets.is_floating_point() or targets.shape != outputs.shape[:1] + outputs.shape[2:]:
            raise ShapeError(
                "Dense labels are class numbers at every position of outputs [batch, classes, ...]; the outputs are "
                f"{list(outputs.shape)}, the targets {list(targets.shape)} of {type_of(targets)}."
            )
        check_classes(self._known(targets), outputs.shape[1])

    def _known(self, targets: Int[Tensor, "labelled ..."]) -> Int[Tensor, "labelled ..."]:
        """With every ignored label as torch's losses call it."""
        return torch.where(targets == self.ignored, IGNORED, targets.long())
