"""What a score may look at: one teacher's outputs on the user's labelled samples."""

from dataclasses import dataclass, replace

from jaxtyping import Float, Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """One teacher's outputs on the target samples, in float64; what is missing is None."""

    labels: Shaped[Tensor, "samples ..."]
    """Target classes; or numbers, as float32."""
    classes: int
    """How many target classes there are."""
    predictions: Float[Tensor, "samples teacher_classes"] | None = None
    """The teacher's probabilities."""
    features: Float[Tensor, "samples dim"] | None = None
    """The input of the teacher's classifier."""
    cost: Float[Tensor, "teacher_classes classes"] | None = None
    """From each teacher class to each target class, on one scale for all teachers."""
    fold: Int[Tensor, " samples"] | None = None
    """Which of ``fold_costs`` was learned without this sample."""
    fold_costs: Float[Tensor, "folds teacher_classes classes"] | None = None
    student: Float[Tensor, "samples classes"] | None = None
    """A student's probabilities, where there is one."""
    source: tuple[Float[Tensor, "source_samples dim"], Int[Tensor, " source_samples"]] | None = None
    """Features and labels of samples of the teacher's own task."""

    def only(self, names: tuple[str, ...]) -> "Evidence":
        """Without what is not among ``names``, so that it is not copied."""
        return Evidence(self.labels, self.classes, **{name: getattr(self, name) for name in names})

    def rows(self, chosen: Int[Tensor, " chosen"]) -> "Evidence":
        """The same for some samples, repeats allowed."""
        return replace(
            self,
            labels=self.labels[chosen],
            predictions=None if self.predictions is None else self.predictions[chosen],
            features=None if self.features is None else self.features[chosen],
            fold=None if self.fold is None else self.fold[chosen],
            student=None if self.student is None else self.student[chosen],
        )
