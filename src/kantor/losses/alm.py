"""ALM: match the likelihoods of chunks of text (Minixhofer, Vulic & Ponti, NeurIPS 2025, arXiv 2503.20083)."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.capture.spans import SharedSpans
from kantor.losses.masks import fair_count
from kantor.losses.precision import transfer
from kantor.losses.said import log_likelihoods, over_spans
from kantor.losses.sequences import check_sequences
from kantor.losses.settings import positive
from kantor.losses.token_loss import TokenLoss
from kantor.losses.token_rows import check_spans, counted, needed

_LEAST = 1e-6
"""What a chunk's log likelihood lies below 0 at least, as in the public code: a certain chunk has a finite loss."""


@transfer
def alm(
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    spans: SharedSpans,
    *,
    targets: Tensor | None = None,
    temperature: float = 100.0,
) -> Float[Tensor, ""]:
    """``T * mean over spans of KL(Bernoulli(p_t^(1 / T)) || Bernoulli(p_s^(1 / T)))``, p the likelihood of the span.

    A span's likelihood is the product of its tokens' probabilities, each given all text before it, so it can be
    compared whatever the tokens are. Other continuations are one event, "anything else".

    The public code (tokenkit) minimises the cross-entropy, which differs by what no gradient reaches, and has no factor
    T: with it the gradient keeps its size as T grows. Its chunks may end where the teacher is sure that a word ends,
    or anywhere (``unconstrained``): ours are the latter.

    Args:
        student: logits per token.
        teacher: the same, at other tokens.
        spans: which tokens begin and end together, and which they are.
        targets: labels of the student's tokens; spans that begin with -100 do not count.
        temperature: T > 0; 100 is the public code's.

    Raises:
        ShapeError: these are no logits per token of the same samples.
        ConfigError: the spans are none.
    """
    check_sequences("alm", (student.shape,), (teacher.shape,))
    check_spans("alm", spans)
    mask = spans.predicted & counted(spans.student.first, targets)
    ours, theirs = (
        (over_spans(log_likelihoods(logits, side.tokens), side)[mask] / temperature).clamp_max(0) - _LEAST
        for logits, side in ((student, spans.student), (teacher, spans.teacher))
    )
    p = theirs.exp()
    apart = p * (theirs - ours) - torch.expm1(theirs) * (_other(theirs) - _other(ours))
    return temperature * apart.sum() / fair_count(mask).to(apart.dtype)


def _other(log_p: Tensor) -> Tensor:
    """``log(1 - p)``."""
    return torch.log(-torch.expm1(log_p))


class ALM(TokenLoss):
    """:func:`alm` as a term.

    Args:
        temperature: see :func:`alm`.
    """

    name: ClassVar = "alm"
    paper: ClassVar = "arXiv 2503.20083"
    takes_top = True

    def __init__(self, temperature: float = 100.0) -> None:
        super().__init__()
        positive(self.name, temperature=temperature)
        self.temperature = temperature

    def compared(self, student, teacher, spans, targets, masks) -> Tensor:  # noqa: ARG002
        """See :func:`alm`. Padding is of no span."""
        return alm(student, teacher, needed(self.name, spans), targets=targets, temperature=self.temperature)

    def settings(self) -> dict[str, Any]:
        """The temperature."""
        return {"temperature": self.temperature}
