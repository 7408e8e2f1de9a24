"""What two language models say of the tokens of a text: token by token, and over spans that both share."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from kantor.capture.spans import SharedSpans, TokenSpans
from kantor.losses.token_rows import AT_ONCE, Rows, counted
from kantor.losses.top_logits import probabilities_of

Merge = Literal["observed", "bayesian"]
"""How a span's tokens become one distribution: that at its first token times the probabilities of the tokens after it,
or that at its last times the probabilities of those before."""
_LEAST = math.log(1e-8)
"""Of a token's log probability in a merged distribution, as in TRL."""


def log_likelihoods(
    logits: Float[Tensor, "batch tokens vocabulary"], tokens: Int64[Tensor, "batch tokens"], temperature: float = 1.0
) -> Float[Tensor, "batch tokens"]:
    """The log probability of each token given those before it; 0 of a text's first, which nothing predicts."""
    if logits.is_sparse:  # of few numbers
        following = torch.nn.functional.pad(tokens[:, 1:], (0, 1))
        return torch.nn.functional.pad(_log_likelihoods(logits, following, temperature)[:, :-1], (1, 0))
    if not (logits.requires_grad and torch.is_grad_enabled()):
        parts = [
            _log_likelihoods(*part, temperature)
            for part in zip(
                logits[:, :-1].flatten(0, 1).split(AT_ONCE), tokens[:, 1:].flatten().split(AT_ONCE), strict=True
            )
        ]
        found = torch.cat([logits.new_zeros(0), *parts]).view(len(logits), -1)
    else:
        found = _log_likelihoods(logits[:, :-1], tokens[:, 1:], temperature)
    return torch.nn.functional.pad(found, (1, 0))


def _log_likelihoods(logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    if logits.is_sparse:
        p, other, known = probabilities_of(logits, temperature)
        found = (p * (known == tokens.unsqueeze(-1))).sum(-1)
        return torch.where(found > 0, found, other.squeeze(-1)).log()
    logits = logits / temperature if temperature != 1 else logits
    return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


def over_spans(
    likelihoods: Float[Tensor, "batch tokens"], side: TokenSpans, *, after: int = 0, until: int = 0
) -> Float[Tensor, "batch spans"]:
    """The sum over each span's tokens.

    Args:
        likelihoods: of each token.
        side: where its spans lie.
        after: how many of a span's first tokens are left out.
        until: how many of its last.
    """
    sums = torch.nn.functional.pad(likelihoods.cumsum(1), (1, 0))
    return sums.gather(1, side.last + 1 - until) - sums.gather(1, side.first + after)


def merged(
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    spans: SharedSpans,
    merge: Merge,
    temperatures: tuple[float, float],
    targets: Tensor | None,
) -> tuple[Rows, tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]]:
    """The rows whose distributions stand for the spans, and the log probability of each span's other tokens.

    Args:
        student, teacher: logits.
        spans: which tokens belong together.
        merge: see :data:`Merge`.
        temperatures: of student and teacher.
        targets: labels of the student's tokens, -100 for those that do not count.
    """
    mask = spans.predicted & counted(spans.student.first, targets)
    rows, beside = [], []
    for logits, side, temperature in zip((student, teacher), (spans.student, spans.teacher), temperatures, strict=True):
        said = log_likelihoods(logits, side.tokens, temperature).clamp_min(_LEAST)
        others = over_spans(said, side, after=1) if merge == "observed" else over_spans(said, side, until=1)
        place = side.first if merge == "observed" else side.last
        sample = torch.arange(len(logits), device=logits.device).unsqueeze(1) * logits.shape[1]
        rows.append((sample + place - 1)[mask])
        beside.append(others[mask])
    return Rows(rows[0], rows[1], mask), (beside[0], beside[1])
