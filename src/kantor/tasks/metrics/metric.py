"""What a metric is: sums that add up over batches and processes, and the value that they make."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from kantor.tasks.scale import Scale


class Metric(ABC):
    """A number by which a model is judged.

    Of every batch :meth:`sums` says what adds up: over the batches of a data set, the last short one too, and over
    processes. :meth:`value` is then that of all samples together, and no mean of means.
    """

    name: str
    """As it stands in tables and in the records of a run."""
    unit: str = ""
    """``%`` for a share in [0, 1]; otherwise what is written behind a value."""
    higher_is_better: bool = True

    @abstractmethod
    def sums(self, outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "batch ..."]) -> Float64[Tensor, "..."]:
        """What adds up, in float64; of one shape whatever the batch.

        Args:
            outputs: the model's, in float32 or more.
            targets: the labels of these samples.
        """

    @abstractmethod
    def value(self, sums: Float64[Tensor, "..."]) -> float:
        """The metric of all that was added up; NaN where nothing counts."""

    @property
    def scale(self) -> Scale:
        """How its values are compared and written."""
        return Scale(self.name, self.unit, self.higher_is_better)
