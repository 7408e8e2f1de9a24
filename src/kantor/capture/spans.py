"""Tokens of two tokenizers over one text, brought to the spans that begin and end together in both."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from kantor.capture.positions import LayerOutput


@dataclass(frozen=True)
class TokenSpans:
    """One side's tokens, and which of them each span holds: those from ``first`` to ``last``, both included."""

    tokens: Int64[Tensor, "batch tokens"]
    first: Int64[Tensor, "batch spans"]
    last: Int64[Tensor, "batch spans"]

    def __getitem__(self, samples: slice) -> "TokenSpans":
        return TokenSpans(self.tokens[samples], self.first[samples], self.last[samples])


@dataclass(frozen=True)
class SharedSpans:
    """Spans of text that begin and end together in both sides' tokens."""

    student: TokenSpans
    teacher: TokenSpans
    mask: Bool[Tensor, "batch spans"]
    """Which spans each sample has: it has fewer than the batch's most."""

    @property
    def predicted(self) -> Bool[Tensor, "batch spans"]:
        """The spans that both sides predict from a token before them. A text's first has none, unless both begin with a
        mark."""
        return self.mask & (self.student.first > 0) & (self.teacher.first > 0)

    def __getitem__(self, samples: slice) -> "SharedSpans":
        return SharedSpans(self.student[samples], self.teacher[samples], self.mask[samples])


def on_common_spans(student: LayerOutput, teacher: LayerOutput) -> tuple[LayerOutput, LayerOutput] | None:
    """Both layers averaged over the spans of text that begin and end together in both tokenizers' tokens.

    A span ends where a token of both sides ends, and begins where the one before it ended. Marks of beginning and end,
    and padding, are of no span, and neither is what one side alone was cut off from. A sample has as many positions as
    spans; the rest of the batch's longest is masked.

    Args:
        student: its layer.
        teacher: the same.

    Returns:
        The two, ``[N, spans, D]`` each; None where a side's tokens are of no text that is known.
    """
    if student.ends is None or teacher.ends is None:
        return None
    before, mask = _common(student.ends, teacher.ends)
    return _averaged(student, before, mask), _averaged(teacher, before, mask)


def shared_spans(student: LayerOutput, teacher: LayerOutput) -> SharedSpans | None:
    """Which tokens of each side the spans hold that begin and end together in both; see :func:`on_common_spans`.

    A token of space alone (a new line) is of the span that follows it: there both sides say what comes after the same
    text. Several tokens of one letter, as bytes are, are of one span.

    Returns:
        None where a side's tokens, or where they end, are not known.
    """
    sides = [side for side in (student, teacher) if side.ends is not None and side.tokens is not None]
    return between(*((side.tokens, side.ends) for side in sides)) if len(sides) == 2 else None  # type: ignore[arg-type]


def between(
    student: tuple[Int64[Tensor, "batch tokens"], Int64[Tensor, "batch tokens"]],
    teacher: tuple[Int64[Tensor, "batch others"], Int64[Tensor, "batch others"]],
) -> SharedSpans:
    """:func:`shared_spans` of the tokens themselves.

    Args:
        student: tokens, and after how many letters of the text each of them ends (0 for marks and padding, -1 for space
            alone).
        teacher: the same.
    """
    before, mask = _common(student[1], teacher[1])
    return SharedSpans(_spanned(*student, before, mask), _spanned(*teacher, before, mask), mask)


def _common(
    ends: Int64[Tensor, "batch tokens"], others: Int64[Tensor, "batch others"]
) -> tuple[Int64[Tensor, "batch letters"], Bool[Tensor, "batch spans"]]:
    """By letter, how many spans ended before it: the number of the span that a token ending there is in; and which
    spans each sample has."""
    common = _marks(ends, others) & _marks(others, ends)
    before = common.cumsum(1) - common.long()
    mask = torch.arange(int(common.sum(1).max()), device=common.device) < common.sum(1, keepdim=True)
    return before, mask


def _marks(ends: Int64[Tensor, "batch tokens"], others: Tensor) -> Bool[Tensor, "batch letters"]:
    """Whether a token ends after each letter; one ends at 0 that stands for no letters."""
    letters = int(torch.maximum(ends.max(), others.max())) + 1
    marks = torch.zeros(len(ends), letters, dtype=torch.bool, device=ends.device)
    marks.scatter_(1, ends.clamp_min(0), True)
    marks[:, 0] = False
    return marks


def _spanned(
    tokens: Int64[Tensor, "batch tokens"],
    ends: Int64[Tensor, "batch tokens"],
    before: Int64[Tensor, "batch letters"],
    mask: Bool[Tensor, "batch spans"],
) -> TokenSpans:
    place = torch.arange(ends.shape[1], device=ends.device).expand_as(ends)
    spans = mask.shape[1]
    # Tokens of no letters, and those after the last span, go to a column that is cut off.
    number = before.gather(1, ends.clamp_min(0)).clamp_max(spans).masked_fill(ends <= 0, spans)
    last = torch.zeros(len(ends), spans + 1, dtype=torch.int64, device=ends.device)
    last = last.scatter_reduce(1, number, place, "amax", include_self=False)[:, :spans]
    start = (ends != 0).int().argmax(1, keepdim=True)
    first = torch.cat([start, last[:, :-1] + 1], dim=1)[:, :spans]
    return TokenSpans(tokens, first.masked_fill(~mask, 0), last.masked_fill(~mask, 0))


def _averaged(
    layer: LayerOutput, before: Int64[Tensor, "batch letters"], mask: Bool[Tensor, "batch spans"]
) -> LayerOutput:
    """The layer's tokens averaged over the spans.

    Args:
        layer: the output.
        before: by letter, how many spans ended before it: the number of the span that a token ending there is in.
        mask: which spans each sample has.
    """
    assert layer.ends is not None
    number = before.gather(1, layer.ends.clamp_min(0))
    spans = torch.arange(mask.shape[1], device=mask.device)
    inside = (number.unsqueeze(1) == spans[:, None]) & (layer.ends > 0).unsqueeze(1) & mask.unsqueeze(2)
    share: Float[Tensor, "batch spans tokens"] = inside.to(layer.values.dtype)
    values = share @ layer.values / share.sum(2, keepdim=True).clamp_min(1)
    return LayerOutput(values, mask)
