"""Tokens of two tokenizers over one text, brought to the spans that begin and end together in both."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from kantor.capture.positions import LayerOutput


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
    common = _marks(student.ends, teacher.ends) & _marks(teacher.ends, student.ends)
    before = common.cumsum(1) - common.long()
    mask = torch.arange(int(common.sum(1).max()), device=common.device) < common.sum(1, keepdim=True)
    return _averaged(student, before, mask), _averaged(teacher, before, mask)


def _marks(ends: Int64[Tensor, "batch tokens"], others: Tensor) -> Bool[Tensor, "batch letters"]:
    """Whether a token ends after each letter; one ends at 0 that stands for no letters."""
    letters = int(torch.maximum(ends.max(), others.max())) + 1
    marks = torch.zeros(len(ends), letters, dtype=torch.bool, device=ends.device)
    marks.scatter_(1, ends, True)
    marks[:, 0] = False
    return marks


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
    number = before.gather(1, layer.ends)
    spans = torch.arange(mask.shape[1], device=mask.device)
    inside = (number.unsqueeze(1) == spans[:, None]) & (layer.ends > 0).unsqueeze(1) & mask.unsqueeze(2)
    share: Float[Tensor, "batch spans tokens"] = inside.to(layer.values.dtype)
    values = share @ layer.values / share.sum(2, keepdim=True).clamp_min(1)
    return LayerOutput(values, mask)
