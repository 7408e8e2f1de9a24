"""A task: what is learned, and how it is judged."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from jaxtyping import Float, Float64, Int, Shaped
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.data.label_kinds import LabelKind
from kantor.tasks.metrics import Metric
from kantor.tasks.scale import Scale

if TYPE_CHECKING:
    from kantor.data import Part

IGNORED = -100
"""The label that torch's losses leave out."""


class Task(ABC):
    """A loss on a model's outputs and the labels, and the metrics by which the model is judged.

    A batch's first samples have labels; those after them have none, and neither the loss nor a metric sees them. To
    make a task of your own, write :meth:`loss` and set what differs; ``kantor distill --task package.module:Task`` and
    ``Objective(task=...)`` take it.
    """

    name: str
    """As step 0 calls it."""
    labels: ClassVar[LabelKind] = "classes"
    """What a data set's labels are read as; see :data:`kantor.data.label_kinds.LabelKind`."""
    axis: int = 1
    """Of the classes, labels or numbers in the outputs."""
    ignored: int | None = None
    """The label that is left out, beside negative ones; None where each counts."""
    distributions: ClassVar[bool] = True
    """Whether a sample's outputs are logits of classes that exclude each other, so that they can be compared as
    distributions (``kd`` does)."""
    metrics: Sequence[Metric]
    """The first is what students are compared, selected and tuned by."""

    def __init_subclass__(cls, **settings: Any) -> None:
        """A task that gives a task a loss of its own is measured by that, over the labels that counted before."""
        super().__init_subclass__(**settings)
        before: Any = cls.loss_sums
        if "loss" in vars(cls) and "loss_sums" not in vars(cls) and before is not Task.loss_sums:

            def loss_sums(self: Task, outputs: Tensor, targets: Tensor) -> Float64[Tensor, " loss_counted"]:
                counted = before(self, outputs, targets)[1]
                total = self.loss(outputs, targets).double() * counted if counted else torch.zeros_like(counted)
                return torch.stack([total, counted])

            cls.loss_sums = loss_sums

    @abstractmethod
    def loss(
        self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]
    ) -> Float[Tensor, ""]:
        """The mean over the labels that count, to be minimised.

        Args:
            outputs: the model's, in float32 or more.
            targets: the labels of these samples.
        """

    def counted(self, targets: Shaped[Tensor, "labelled ..."]) -> int:
        """How many labels count: the weight of :meth:`loss` in a mean over batches."""
        return len(targets)

    def loss_sums(
        self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]
    ) -> Float64[Tensor, " loss_counted"]:
        """The sum of the loss over the labels that count, and their number: what adds up over batches."""
        counted = self.counted(targets)
        total = self.loss(outputs, targets).double() * counted if counted else outputs.new_zeros((), dtype=torch.double)
        return torch.stack([total, total.new_tensor(counted)])

    def check(self, outputs: Float[Tensor, "labelled ..."], targets: Shaped[Tensor, "labelled ..."]) -> None:  # noqa: B027
        """Refuse labels that the loss cannot mean, where it would not say so itself.

        Raises:
            ShapeError: they do not fit the outputs; says what would.
        """

    def confusion(
        self,
        outputs: Float[Tensor, "labelled ..."],  # noqa: ARG002
        targets: Shaped[Tensor, "labelled ..."],  # noqa: ARG002
    ) -> Int[Tensor, "classes classes"] | None:
        """``[target, prediction]``: counts. By them a student is seen to guess, and a page shows its classes.

        None where the outputs name no class, or too many to count pairs of: there nothing is known of chance.
        """
        return None

    def for_texts(self) -> Self:
        """The same, of texts that kantor reads and cuts into tokens: a task that is judged by their bytes says so."""
        return self

    def judged_on(self, part: "Part") -> Self:  # noqa: ARG002
        """The same, with what its metrics must know of a part of the data beside outputs and labels."""
        return self

    @property
    def scale(self) -> Scale:
        """Of the metric that models are judged by."""
        return self.metrics[0].scale

    def __call__(self, outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "labelled ..."]) -> Tensor:
        """:meth:`loss` of the samples that have a label, in float32 or more."""
        return self.loss(labelled(outputs, targets), targets)

    @torch.no_grad()
    def measured(
        self, outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "labelled ..."]
    ) -> dict[str, Float64[Tensor, "..."]]:
        """Of every metric, by name, what adds up over batches and processes."""
        known = labelled(outputs, targets)
        return {metric.name: metric.sums(known, targets) for metric in self.metrics}

    def values(self, sums: Mapping[str, Float64[Tensor, "..."]]) -> dict[str, float]:
        """Every metric of what was added up; NaN where nothing counted."""
        return {metric.name: metric.value(sums[metric.name]) for metric in self.metrics}


def labelled(outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "labelled ..."]) -> Tensor:
    """The outputs of the samples that have a label, in float32 or more."""
    return outputs[: len(targets)].to(torch.promote_types(outputs.dtype, torch.float32))


def check_task(task: Task, outputs: Float[Tensor, "batch ..."], targets: Shaped[Tensor, "labelled ..."]) -> None:
    """Refuse labels that the task cannot mean.

    Raises:
        ShapeError: they do not fit the outputs; says what would.
    """
    if targets.ndim == 0 or len(targets) > len(outputs):
        raise ShapeError(f"The batch has {len(outputs)} samples and targets {list(targets.shape)}: give one to each.")
    known = labelled(outputs, targets)
    task.check(known, targets)
    try:
        task.loss(known, targets)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise ShapeError(
            f"The task loss cannot take logits {list(known.shape)} with targets {list(targets.shape)} of "
            f"{type_of(targets)}: {error}"
        ) from error


def type_of(x: Tensor) -> str:
    """A tensor's type, for messages."""
    return str(x.dtype).removeprefix("torch.")
