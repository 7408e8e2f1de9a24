"""Single predictions of two language models side by side: where both begin anew in the text, some at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from kantor.capture.spans import SharedSpans
from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.base import Mask
from kantor.losses.masks import fair_count, kept_on_both
from kantor.losses.sequences import IGNORED, check_sequences
from kantor.losses.top_logits import probabilities_of, rows_of
from kantor.losses.vocabulary_map import VocabularyMap

AT_ONCE = 256
"""Predictions whose probabilities are held at one time."""


@dataclass(frozen=True)
class Rows:
    """Predictions that are compared, as rows of ``logits.flatten(0, 1)``."""

    student: Int64[Tensor, " rows"]
    teacher: Int64[Tensor, " rows"]
    mask: Bool[Tensor, "batch places"]
    """Which places they are."""

    def mean(self, values: Float[Tensor, " rows"]) -> Float[Tensor, ""]:
        """The mean over the global batch's; 0 where there is none."""
        return values.sum() / fair_count(self.mask).to(values.dtype)

    def mean_of_samples(self, values: Float[Tensor, " rows"]) -> Float[Tensor, ""]:
        """The mean over the global batch's samples of their means; a sample without a row counts 0."""
        samples = values.new_zeros(len(self.mask)).index_add(0, self.mask.nonzero()[:, 0], values)
        return sum_over_ranks((samples / self.mask.sum(1).clamp_min(1)).mean()) / world_size()


def predicted_rows(
    name: str,
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    *,
    spans: SharedSpans | None,
    targets: Tensor | None,
    masks: tuple[Mask, Mask] = (None, None),
) -> Rows:
    """The predictions of what follows the same text on both sides.

    With ``spans`` these are the first tokens of every span, predicted by the token before it. Without, both sides have
    the same tokens, and predictions are compared place by place. ``targets [batch, tokens]``, the student's tokens
    with -100 for those that do not count, leave the latter out.

    Raises:
        ShapeError: these are no logits per token of the same samples; without spans, of the same number of tokens.
    """
    check_sequences(name, (student.shape,), (teacher.shape,))
    tokens, others = student.shape[1], teacher.shape[1]
    sample = torch.arange(len(student), device=student.device).unsqueeze(1)
    if spans is not None:
        check_spans(name, spans)
        mask = spans.predicted & counted(spans.student.first, targets)
        s, t = spans.student.first - 1, spans.teacher.first - 1
    else:
        _same_tokens(name, student, teacher)
        kept = kept_on_both(name, student, teacher, *masks)
        mask = torch.ones(student.shape[:2], dtype=torch.bool, device=student.device) if kept is None else kept
        s = t = torch.arange(tokens, device=student.device).expand_as(mask)
        if targets is not None and targets.ndim == 2:
            mask = mask & torch.nn.functional.pad(targets[:, 1:] != IGNORED, (0, 1))
    return Rows((sample * tokens + s)[mask], (sample * others + t)[mask], mask)


def counted(
    place: Int64[Tensor, "batch spans"], targets: Tensor | None
) -> Bool[Tensor, "batch spans"] | Bool[Tensor, ""]:
    """Whether the student's tokens at these places have a label that counts; all do where labels are not tokens."""
    if targets is None or targets.ndim != 2:
        return torch.ones((), dtype=torch.bool, device=place.device)
    return targets.gather(1, place.clamp_max(targets.shape[1] - 1)) != IGNORED


def _same_tokens(name: str, student: Tensor, teacher: Tensor) -> None:
    if student.shape[:2] != teacher.shape[:2]:
        raise ShapeError(
            f"{name} compares what is predicted after the same text. The student's logits are {tuple(student.shape)}, "
            f"the teacher's {tuple(teacher.shape)}, and where their tokens end in the text is not known: give both a "
            "tokenizer in a study, or `spans=` (kantor.capture.spans.between) in your own loop."
        )


RowValue = Callable[..., Float[Tensor, " rows"]]


def row_values(
    value: RowValue,
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    rows: Rows,
    beside: tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]] | None = None,
    at_once: int = AT_ONCE,
) -> Float[Tensor, " rows"]:
    """``value(student's rows, teacher's rows)``, one number a row, some rows at a time.

    The gradient is made beside the values: of [batch, tokens, vocabulary] there is only the gradient itself, whatever
    ``value`` needs on the way. It can be differentiated once.

    Args:
        value: of a row's own logits alone; given ``beside`` too, where there is any.
        student, teacher: logits; ``value`` is given the teacher's sparse where they are
            (:mod:`kantor.losses.top_logits`).
        rows: which of them; the student's are distinct.
        beside: a number of each side for every row. The student's may have a gradient.
        at_once: rows whose probabilities are held at one time.
    """
    ours, theirs = beside or (None, None)
    found = _RowValues.apply(student.flatten(0, 1), teacher, ours, theirs, rows.student, rows.teacher, value, at_once)
    assert isinstance(found, Tensor)
    return found


class _RowValues(torch.autograd.Function):
    @staticmethod
    def forward(ctx, student, teacher, ours, theirs, s_rows, t_rows, value, at_once):  # type: ignore[override]
        gradient = torch.zeros_like(student) if ctx.needs_input_grad[0] else None
        beside = torch.zeros_like(ours) if ctx.needs_input_grad[2] else None
        values = student.new_empty(len(s_rows))
        for start in range(0, len(s_rows), at_once):
            part = slice(start, start + at_once)
            with torch.enable_grad():
                mine = student[s_rows[part]].detach().requires_grad_(gradient is not None)
                more = () if ours is None else (ours[part].detach().requires_grad_(beside is not None), theirs[part])
                found = value(mine, rows_of(teacher, t_rows[part]), *more)
                wanted = [x for x in (mine, *more[:1]) if x.requires_grad]
                made = list(torch.autograd.grad(found.sum(), wanted)) if wanted else []
            values[part] = found.detach()
            if gradient is not None:
                gradient[s_rows[part]] = made.pop(0)
            if beside is not None:
                beside[part] = made.pop(0)
        ctx.save_for_backward(gradient, beside, s_rows)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        gradient, beside, s_rows = ctx.saved_tensors
        if gradient is not None:
            scale = gradient.new_zeros(len(gradient)).index_copy_(0, s_rows, grad)
            gradient = gradient * scale.unsqueeze(1)
        return gradient, None, None if beside is None else beside * grad, *(5 * [None])


def carried_kl(vocabulary: VocabularyMap, temperature: float, top: int | None = None) -> RowValue:
    """Of a row of logits ``T^2 m KL(q / m || softmax(student / T))``, q the teacher's probabilities carried by the map
    and m their mass."""

    def value(student: Float[Tensor, "rows vocabulary"], teacher: Float[Tensor, "rows teacher_vocabulary"]) -> Tensor:
        with torch.no_grad():
            q = _carried(teacher.to(student.dtype), vocabulary, temperature, top)
            mass = q.sum(-1)
            own = torch.xlogy(q, q).sum(-1) - torch.xlogy(mass, mass)
        log_s = (student / temperature).log_softmax(-1)[:, : vocabulary.shape[1]]
        return temperature**2 * (own - (q * log_s).sum(-1))

    return value


def _carried(teacher: Tensor, vocabulary: VocabularyMap, temperature: float, top: int | None) -> Tensor:
    if not teacher.is_sparse:
        return vocabulary.carried((teacher / temperature).softmax(-1)[:, : vocabulary.shape[0]], top)
    p, other, tokens = probabilities_of(teacher, temperature)
    if top is None:
        return vocabulary.carried_above(p, tokens, other)
    known = p.masked_fill(tokens >= vocabulary.shape[0], 0)
    p, place = known.topk(min(top, p.shape[1]), dim=1)
    return vocabulary.carried_above(p, tokens.gather(1, place), torch.zeros_like(other))


def check_map(name: str, vocabulary: VocabularyMap, student: torch.Size, teacher: torch.Size) -> None:
    """Refuse logits that are not over a map's vocabularies; a model's may be wider than its tokenizer's, padded.

    Raises:
        ShapeError: with all four sizes.
        ConfigError: it is no map.
    """
    if not isinstance(vocabulary, VocabularyMap):
        raise ConfigError(
            f"{name} takes a map between two vocabularies (kantor.losses.VocabularyMap), and not a "
            f"{type(vocabulary).__name__}."
        )
    shape = vocabulary.shape
    if teacher[-1] < shape[0] or student[-1] < shape[1]:
        raise ShapeError(
            f"{name}: the teacher's logits are over {teacher[-1]} tokens and the student's over {student[-1]}, but the "
            f"plan is between {shape[0]} and {shape[1]}. It is of other tokenizers: make it of those of these two."
        )


def check_spans(name: str, spans: SharedSpans) -> None:
    """Refuse what is no record of spans.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(spans, SharedSpans):
        raise ConfigError(
            f"{name} takes spans as kantor.capture.spans.between gives them, and not a {type(spans).__name__}."
        )


def needed(name: str, spans: SharedSpans | None) -> SharedSpans:
    """The spans, for a loss that does without nowhere.

    Raises:
        ConfigError: there are none.
    """
    if spans is None:
        raise ConfigError(
            f"{name} compares spans of text, and which tokens they hold is not known. In a study give both models a "
            "tokenizer of their own; in your own loop give spans= (kantor.capture.spans.between). Where both have the "
            "same tokens use kd."
        )
    return spans
