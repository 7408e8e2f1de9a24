"""Mean intersection over union of dense labels."""

from jaxtyping import Float, Float64, Int
from torch import Tensor

from kantor.tasks.metrics.accuracy import confusion_of
from kantor.tasks.metrics.metric import Metric
from kantor.tasks.scale import SHARE


class MeanIoU(Metric):
    """Of every class, the positions that are said and true over those that are either; the mean over the classes.

    Taken from the confusion of a whole data set, as the benchmarks do, and no mean over images. Classes that neither
    occur nor are said are left out, and so are labels that are no class.

    Args:
        axis: of the classes in the outputs.
    """

    name = "mIoU"
    unit = SHARE

    def __init__(self, axis: int = 1) -> None:
        self.axis = axis

    def sums(
        self, outputs: Float[Tensor, "batch ..."], targets: Int[Tensor, "batch ..."]
    ) -> Float64[Tensor, "classes classes"]:
        predicted = outputs.argmax(self.axis)
        return confusion_of(predicted.flatten(), targets.flatten(), outputs.shape[self.axis]).double()

    def value(self, sums: Float64[Tensor, "classes classes"]) -> float:
        both = sums.diagonal()
        either = sums.sum(0) + sums.sum(1) - both
        known = either > 0
        return (both / either)[known].mean().item()
