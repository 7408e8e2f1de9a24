"""The one contract that every transfer loss holds."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kantor.losses.checks import as_built
from kantor.losses.precision import transfer

Features = Float[Tensor, "..."] | tuple[Float[Tensor, "..."], ...]
"""One layer's output, or one per layer. A layer's output is ``[batch, dim]``, a token sequence
``[batch, tokens, dim]``, a channel-first map ``[batch, channels, height, width]`` or a volume
``[batch, channels, depth, height, width]``."""

Mask = Bool[Tensor, "batch positions"] | None
"""Which positions of a layer's output count; None where all do."""
Masks = Mask | tuple[Mask, ...]
"""One layer's, or one per layer, as the features are."""

Grid = tuple[int, int] | None
"""The height and width that the last tokens of a layer fill; None where they are no patches of an image."""
Grids = Grid | tuple[Grid, ...]
"""One layer's, or one per layer, as the features are."""

Shapes = tuple[torch.Size, ...]
"""The shapes of the bound layers' outputs, batch included, in order."""


class TransferLoss(nn.Module):
    """A transfer loss: compares what a student and a teacher say of one batch. Minimised, with a positive weight.

    Class fields say what the loss needs, so that it is refused before the first step and not hours into a run.
    ``forward`` (of every subclass) runs in float32 or more, also under autocast and on half-precision features, and
    no gradient of it reaches the teacher.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "forward" in vars(cls):
            cls.forward = _of_what_was_built(cls.forward)  # type: ignore[method-assign]
        if "build" in vars(cls):
            cls.build = _noting(cls.build)  # type: ignore[method-assign]
        for method in ("forward", "pretraining_loss"):
            if method in vars(cls):
                setattr(cls, method, transfer(vars(cls)[method]))

    built: tuple[Shapes, Shapes] | None = None
    """The shapes that :meth:`build` was told, student's and teacher's; None before."""

    name: ClassVar[str]
    """As written in ``--methods``."""
    paper: ClassVar[str] = ""
    """The source, if there is one, as ``arXiv 2007.06737`` or a venue."""
    default_weight: ClassVar[float]
    """The term's weight beside a task weight of 1."""
    reads: ClassVar[Literal["logits", "penultimate", "feature", "stages", "sequence_logits"]]
    """What it is bound to when the user names no layers: the logits; the pooled input of the classifier; the last
    feature map or token sequence; a tuple of every paired stage, shallow to deep; logits per token."""
    usual_stages: int = 1
    """Of a loss of one layer: how many of the last paired stages it is bound to, a copy to each, when the user names
    neither layers nor stages nor a weight; fewer where fewer pair."""
    by_position: bool = False
    """It compares single positions: where it chooses layers itself, maps and tokens come before vectors."""
    needs_targets: ClassVar[bool] = False
    needs_ids: ClassVar[bool] = False
    same_classes: ClassVar[bool] = False
    """The teacher's classes must be the student's."""
    needs_label_cost: ClassVar[bool] = False
    """Compares label spaces under a cost between classes, handed over by ``use(cost)`` before :meth:`build`."""

    takes_top: bool = False
    """``forward`` takes a teacher's logits as they are where only the likeliest of every token are known, as a sparse
    tensor (:mod:`kantor.losses.top_logits`); others are given them whole."""
    takes_spans: bool = False
    """``forward`` also takes ``spans`` (:class:`kantor.capture.spans.SharedSpans`): where the tokens of two tokenizers
    begin and end together; None where both sides have the same tokens."""
    by_number: bool = False
    """It takes spans, and compares tokens by their number all the same, as published."""

    needs_start_plan: bool = False
    """Holds the plan by which the student's start was carried."""
    pooled: bool = False
    """The loss sees a map only through its mean over positions (so a cache may keep that mean alone). Where padding is
    known of, it is given that mean, padding left out."""
    takes_mask: bool = False
    """``forward`` also takes ``student_mask`` and ``teacher_mask``, each like its side's features (a mask or None, or a
    tuple of them): positions that are False are padding and count nowhere. They are given where a layer has padding."""
    on_grid: bool = False
    """It needs to know where positions lie: patches of an image come to it as the map that they fill, and what comes as
    tokens is a sequence."""

    takes_grid: bool = False
    """``forward`` also takes ``student_grid`` and ``teacher_grid``, each ``(height, width)`` or None as its side's
    features are one or many: the last tokens of a layer are patches that fill it. For a loss that needs the tokens
    before the patches too; others set ``on_grid``."""

    def hold(self, plan: Float[Tensor, "teacher_units student_units"] | None) -> None:
        """Be told the plan by which these layers of the student's start were carried, before :meth:`build`.

        Args:
            plan: masses; None where there is none.
        """

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:  # noqa: ARG002
        """Make parameters and buffers. Called once, before the optimiser exists, with torch's generators seeded.

        Args:
            student_shapes: shape of each bound student layer, batch first.
            teacher_shapes: the same for the teacher.
            samples: sample ids are in ``range(samples)``; 0 where the data has no ids.

        Raises:
            ShapeError: the loss cannot compare these shapes; the message holds both.
        """
        self.built = student_shapes, teacher_shapes

    def prepare(self, batches: Iterable[tuple[Features, Features]], student: Sequence[nn.Parameter]) -> None:
        """The pretraining, for methods that have one.

        Args:
            batches: (student, teacher) features of one epoch; iterate again for another. The student's carry
                gradients, so a method whose pretraining trains the student can do so.
            student: the student's trainable parameters.
        """

    def after_step(self) -> None:
        """Commit what no gradient touches (memories, averages, potentials) after the optimiser's step.

        Every ``forward`` since the last step counts, so that micro-batches whose gradients add up are one batch. A
        forward under ``no_grad``, or of a loss in eval mode, only looks at a value, and counts nowhere. ``forward``
        itself changes no state: its value is the same however often it is called.
        """

    def forget(self) -> None:
        """Drop what forwards held for :meth:`after_step`: they were no part of a step."""

    def forward(
        self,
        student: Features,
        teacher: Features,
        *,
        targets: Int[Tensor, " batch"] | None = None,
        ids: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, ""]:
        """The loss of one batch, a scalar. With several processes, of the global batch, the same on every rank."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """The settings, as they appear in the step-0 print."""
        return ", ".join(f"{key}={value!r}" for key, value in self.settings().items())

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments as resolved, for the record."""
        return {}


def _noting(build: Callable[..., None]) -> Callable[..., None]:
    """``build``, which also keeps what it was told, for :func:`_of_what_was_built`."""

    @functools.wraps(build)
    def wrapped(self: TransferLoss, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:
        build(self, student_shapes, teacher_shapes, samples)
        self.built = student_shapes, teacher_shapes

    return wrapped


def _of_what_was_built(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``forward``, which refuses outputs of other layers than those that the loss was built for, and computes in the
    precision of the loss's parameters, or of the student where it has none."""

    @functools.wraps(forward)
    def wrapped(self: TransferLoss, student: Features, teacher: Features, **more: Any) -> Tensor:
        if self.built is not None:
            for side, given, built in zip(("student", "teacher"), (student, teacher), self.built, strict=True):
                layers = (given,) if isinstance(given, Tensor) else given
                as_built(self.name, side, [layer.shape for layer in layers], built)
        of = next(self.parameters(), student if isinstance(student, Tensor) else student[0])
        if isinstance(teacher, Tensor) and teacher.is_sparse and not self.takes_top:
            teacher = teacher.to_dense()
        student, teacher = _to(student, of.dtype), _to(teacher, of.dtype)
        return forward(self, student, teacher, **more)

    return wrapped


def _to(x: Features, dtype: torch.dtype) -> Features:
    return x.to(dtype) if isinstance(x, Tensor) else tuple(item.to(dtype) for item in x)
