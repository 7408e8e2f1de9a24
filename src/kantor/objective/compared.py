"""What a loss is given of the layers it is bound to: tensors in one precision, on their grids, and masks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from kantor.capture.positions import LayerOutput
from kantor.capture.spans import SharedSpans, on_common_spans, shared_spans
from kantor.core.errors import ConfigError, ShapeError
from kantor.data import Batch
from kantor.losses import LOSSES
from kantor.losses.base import Features, Grids, Masks, Shapes, TransferLoss
from kantor.losses.features import on_grid, pool
from kantor.losses.sequences import IGNORED
from kantor.objective.outputs import Networks, Outputs, outputs_of
from kantor.objective.teachers import Read
from kantor.objective.terms import Bound


@dataclass(frozen=True)
class Compared:
    """Both sides of one term on one batch."""

    student: Features
    teacher: Features
    masks: dict[str, Masks]
    """``student_mask`` and ``teacher_mask``, for a loss that takes them; empty where no padding is known of."""
    grids: dict[str, Grids]
    """``student_grid`` and ``teacher_grid``, for a loss that takes them."""
    spans: dict[str, SharedSpans]
    """``spans``, for a loss that takes them; empty where both sides have the same tokens."""

    @property
    def shapes(self) -> tuple[Shapes, Shapes]:
        """Of the student's layers and of the teacher's."""
        return _shapes(self.student), _shapes(self.teacher)


def compared(bound: Bound, outputs: Outputs) -> Compared:
    """What the term's loss compares.

    A loss that sees means over positions gets them, padding left out. One that needs to know where positions lie gets
    patches as the map that they fill. Tokens of two tokenizers come as means over the spans of text that begin and end
    together in both.

    Raises:
        ShapeError: the teacher's output is of other samples than the student's.
    """
    assert isinstance(bound.loss, TransferLoss)
    s = [_given(bound.loss, outputs.student[layer]) for layer in bound.student_layers]
    t = [
        _given(bound.loss, outputs.teachers[bound.teacher, Read(layer, bound.pooled)]) for layer in bound.teacher_layers
    ]
    if bound.loss.reads in ("feature", "stages"):
        met = [on_common_spans(*pair) or pair for pair in zip(s, t, strict=True)]
        s, t = [ours for ours, _ in met], [theirs for _, theirs in met]
    beside = [
        _beside(theirs.values, ours.values, f"{bound.teacher}:{layer}")
        for layer, theirs, ours in zip(bound.teacher_layers, t, s, strict=True)
    ]
    masks: dict[str, Masks] = {}
    grids: dict[str, Grids] = {}
    for side, layers in (("student", s), ("teacher", t)):
        if any(x.mask is not None for x in (*s, *t)):
            masks[f"{side}_mask"] = _one_or_many(bound, [x.mask for x in layers])
        if bound.loss.takes_grid:
            grids[f"{side}_grid"] = _one_or_many(bound, [x.grid for x in layers])
    shared = shared_spans(s[0], t[0]) if bound.loss.takes_spans else None
    spans = {} if shared is None else {"spans": shared}
    return Compared(_one_or_many(bound, [x.values for x in s]), _one_or_many(bound, beside), masks, grids, spans)


def value_of(bound: Bound, outputs: Outputs, *, in_place: bool = False) -> Tensor:
    """The term's value.

    Args:
        bound: the term.
        outputs: of a batch.
        in_place: a label per token is that of the output at its place, as where tokens are classified. Off, it is the
            token itself, which the output before it predicts.
    """
    found, batch = compared(bound, outputs), outputs.batch
    masks, targets = found.masks, batch.targets
    if in_place and targets is not None and _by_token(bound, found, targets):
        masks, targets = {**masks, "student_mask": _labelled(found, targets)}, None
    beside = {**masks, **found.grids, **found.spans}
    return bound.loss(found.student, found.teacher, targets=targets, ids=batch.ids, **beside)


def _by_token(bound: Bound, found: Compared, targets: Tensor) -> bool:
    """Whether a loss compares logits per token, each with a label."""
    loss, s = bound.loss, found.student
    assert isinstance(loss, TransferLoss)
    if not loss.takes_mask or loss.reads not in ("logits", "sequence_logits") or found.spans:
        return False
    return isinstance(s, Tensor) and s.ndim == 3 and targets.ndim == 2 and targets.shape[1] == s.shape[1]


def _labelled(found: Compared, targets: Int64[Tensor, "labelled tokens"]) -> Bool[Tensor, "batch tokens"]:
    """Which tokens count: no padding, and none whose label says that it does not; of samples without labels all."""
    assert isinstance(found.student, Tensor)
    counts = torch.ones(found.student.shape[:2], dtype=torch.bool, device=found.student.device)
    counts[: len(targets)] = targets != IGNORED
    known = found.masks.get("student_mask")
    return counts & known if isinstance(known, Tensor) else counts


def refuse_masks(bound: Bound, found: Compared) -> None:
    """Refuse a loss that would count padding.

    Raises:
        ConfigError: the layers come with a mask, and the loss can leave no position out.
    """
    assert isinstance(bound.loss, TransferLoss)
    if not found.masks or bound.loss.takes_mask:
        return
    able = ", ".join(name for name, loss in LOSSES.items() if loss.takes_mask or loss.pooled is True)
    raise ConfigError(
        f"{bound.name} cannot leave padding out, and a mask among the inputs says that there may be some at "
        f"{', '.join(bound.student_layers)}. Bind it to layers without positions, or take a loss that leaves padding "
        f"out: {able}."
    )


class ComparedBatches:
    """Batches as (student, teacher) features of one term; iterable as often as the batches are.

    Args:
        networks: student and teachers.
        every: all bound terms, which share a pass.
        bound: the one that is meant.
        batches: whatever a loader yields.
        read: makes a batch of that.
    """

    def __init__(
        self,
        networks: Networks,
        every: Sequence[Bound],
        bound: Bound,
        batches: Iterable[Any],
        read: Callable[[Any], Batch],
    ) -> None:
        self.networks, self.every, self.bound, self.batches, self.read = networks, every, bound, batches, read

    def __iter__(self) -> Iterator[tuple[Features, Features]]:
        for given in self.batches:
            found = compared(self.bound, outputs_of(self.networks, self.every, self.read(given)))
            yield found.student, found.teacher


def _given(loss: TransferLoss, output: LayerOutput) -> LayerOutput:
    if loss.pooled and output.mask is not None:
        return LayerOutput(pool(output.values, output.mask))
    if loss.on_grid and output.grid is not None:
        return LayerOutput(on_grid(output.values, output.grid))
    return output


def _one_or_many(bound: Bound, layers: list[Any]) -> Any:
    return tuple(layers) if bound.many else layers[0]


def _beside(teacher: Tensor, student: Tensor, layer: str) -> Tensor:
    """The teacher's output in the student's precision, and in single precision at least."""
    if len(teacher) != len(student):
        raise ShapeError(
            f"Teacher's layer {layer} is {list(teacher.shape)} where the student's is {list(student.shape)}: both must "
            "be of the same samples."
        )
    return teacher.to(torch.promote_types(student.dtype, torch.float32)) if teacher.dtype != student.dtype else teacher


def _shapes(features: Features) -> Shapes:
    return tuple(x.shape for x in features) if isinstance(features, tuple) else (features.shape,)
