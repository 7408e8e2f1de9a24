"""GOLD: divergence on the tokens that both vocabularies have, sorted difference on the others (TRL's GOLD trainer)."""

from typing import Any, ClassVar, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from kantor.capture.spans import SharedSpans
from kantor.core.errors import ConfigError, suggest
from kantor.losses.mapped import MappedLoss
from kantor.losses.precision import transfer
from kantor.losses.said import Merge, merged
from kantor.losses.sequences import check_sequences
from kantor.losses.settings import not_negative, positive
from kantor.losses.token_rows import RowValue, check_map, check_spans, needed, row_values
from kantor.losses.top_logits import in_order, parted, probabilities_of, sorted_difference, top_of
from kantor.losses.vocabulary_map import VocabularyMap

_LEAST = 1e-8


@transfer
def gold(
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    same: VocabularyMap,
    spans: SharedSpans,
    *,
    targets: Tensor | None = None,
    beta: float = 0.5,
    merge: Merge = "observed",
    matched_weight: float | None = None,
    temperatures: tuple[float, float] = (1.0, 1.0),
) -> Float[Tensor, ""]:
    """``mean over samples and their spans of w JSD_beta(p_s, p_t on matched tokens) + (1 - w) |unmatched|``.

    ``JSD_b = b KL(p_t || M) + (1 - b) KL(p_s || M)`` with ``M = (1 - b) p_s + b p_t``; b 0 stands for
    ``KL(p_t || p_s)``, b 1 for the reverse. p are a span's merged probabilities
    (:data:`~kantor.losses.said.Merge`), which do not sum to 1.
    ``|unmatched|`` is the L1 distance of both sides' other probabilities, sorted, as in uld.

    As TRL's ``ULDLoss`` with ``use_extended_uld`` and ``uld_use_hybrid_loss``, but in three points: a span's
    distribution is that which predicts its tokens (TRL's ``observed`` reads it one place later), tokens are the same if
    they stand for the same bytes (there: if they are written alike), and a text's beginning without a prediction is
    left out on both sides.

    Args:
        student: logits per token.
        teacher: the same, at other tokens.
        same: tokens that both have, one to one.
        spans: which tokens begin and end together, and which they are.
        targets: labels of the student's tokens; spans that begin with -100 do not count.
        beta: in [0, 1].
        merge: ``observed`` or ``bayesian``.
        matched_weight: w; the share of the teacher's vocabulary that is matched where left out.
        temperatures: of student and teacher.

    Raises:
        ShapeError: these are no logits per token of the same samples, or of the map's vocabularies.
    """
    check_sequences("gold", (student.shape,), (teacher.shape,))
    check_spans("gold", spans)
    check_map("gold", same, student.shape, teacher.shape)
    rows, beside = merged(student, teacher, spans, merge, temperatures, targets)
    weight = len(same.rows) / teacher.shape[-1] if matched_weight is None else matched_weight
    value = _hybrid(same, (student.shape[-1], teacher.shape[-1]), beta, weight, temperatures)
    return rows.mean_of_samples(row_values(value, student, teacher, rows, beside))


def _hybrid(
    same: VocabularyMap, widths: tuple[int, int], beta: float, weight: float, temperatures: tuple[float, float]
) -> RowValue:
    def value(student: Tensor, teacher: Tensor, ours: Tensor, theirs: Tensor) -> Float[Tensor, " rows"]:
        p_s = (student / temperatures[0]).softmax(-1)
        rows, columns = same.rows.to(p_s.device), same.columns.to(p_s.device)
        others_s = p_s[:, others(columns, widths[0])].sort(dim=-1, descending=True).values
        matched_t, others_t = _parted(teacher, rows, others_s.shape[1], temperatures[1])
        before_s, before_t = ours.exp(), theirs.exp()
        apart = divergence(p_s[:, columns] * before_s.unsqueeze(1), matched_t * before_t.unsqueeze(1), beta)
        if len(rows) == widths[1] or len(columns) == widths[0]:  # a side has no others, and nothing is said of them
            return weight * apart
        return weight * apart + (1 - weight) * sorted_difference(others_s, others_t, before_s, before_t)

    return value


def _parted(
    logits: Float[Tensor, "rows vocabulary"], matched: Int64[Tensor, " matched"], first: int, temperature: float
) -> tuple[Float[Tensor, "rows matched"], tuple[Float[Tensor, "rows first"], Float[Tensor, " rows"]]]:
    """The probabilities of tokens that are matched, and of the others in falling order, as :func:`falling` has them."""
    unmatched = others(matched, logits.shape[1])
    width = logits.shape[1] - len(matched)
    if not logits.is_sparse or width < top_of(logits)[1].shape[1]:
        p = (logits.to_dense() / temperature).softmax(-1)
        return p[:, matched], parted(p[:, unmatched].sort(dim=-1, descending=True).values, first)
    p, other, tokens = probabilities_of(logits, temperature)
    place = torch.full((logits.shape[1],), len(matched), device=matched.device)  # one column more, for the others
    place[matched] = torch.arange(len(matched), device=matched.device)
    whole = other.repeat(1, len(matched) + 1).scatter(1, place[tokens], p)
    left = torch.where(unmatched[tokens], p, other)  # a token that is matched is none of them
    return whole[:, :-1], in_order(left, other, width, first)


def divergence(
    p_s: Float[Tensor, "rows matched"], p_t: Float[Tensor, "rows matched"], beta: float
) -> Float[Tensor, " rows"]:
    """The generalised Jensen-Shannon divergence of rows that need not sum to 1, see :func:`gold`."""
    log_s, log_t = p_s.clamp_min(_LEAST).log(), p_t.clamp_min(_LEAST).log()
    if beta == 0:
        return (log_t.exp() * (log_t - log_s)).sum(-1)
    if beta == 1:
        return (log_s.exp() * (log_s - log_t)).sum(-1)
    middle = ((1 - beta) * log_s.exp() + beta * log_t.exp()).log()
    return (beta * log_t.exp() * (log_t - middle) + (1 - beta) * log_s.exp() * (log_s - middle)).sum(-1)


def others(tokens: Tensor, width: int) -> Bool[Tensor, " width"]:
    """Which tokens of a vocabulary are none of these."""
    found = torch.ones(width, dtype=torch.bool, device=tokens.device)
    found[tokens] = False
    return found


class GOLD(MappedLoss):
    """:func:`gold` as a term, with TRL's settings.

    Args:
        vocabulary: the tokens that both have; None where the study finds them.
        beta, merge, matched_weight: see :func:`gold`.
        student_temperature, teacher_temperature: divide the logits.
    """

    name: ClassVar = "gold"
    paper: ClassVar = "huggingface/trl, GOLD trainer"
    map_kind = "same"
    takes_top = True

    def __init__(
        self,
        vocabulary: VocabularyMap | None = None,
        beta: float = 0.5,
        merge: Merge = "observed",
        matched_weight: float | None = None,
        student_temperature: float = 1.0,
        teacher_temperature: float = 1.0,
    ) -> None:
        super().__init__(vocabulary)
        positive(self.name, student_temperature=student_temperature, teacher_temperature=teacher_temperature)
        not_negative(self.name, beta=beta, matched_weight=matched_weight or 0.0)
        if beta > 1 or (matched_weight or 0) > 1:
            raise ConfigError(f"gold: beta and matched_weight are in [0, 1], not {beta} and {matched_weight}.")
        if merge not in get_args(Merge):
            raise ConfigError(f"gold: unknown merge {merge!r}. {suggest(str(merge), get_args(Merge))}")
        self.beta, self.matched_weight = beta, matched_weight
        self.merge: Merge = merge
        self.temperatures = student_temperature, teacher_temperature

    def compared(self, student, teacher, spans, targets, masks) -> Tensor:  # noqa: ARG002
        """See :func:`gold`. Padding is of no span."""
        return gold(
            student,
            teacher,
            self.known(),
            needed(self.name, spans),
            targets=targets,
            beta=self.beta,
            merge=self.merge,
            matched_weight=self.matched_weight,
            temperatures=self.temperatures,
        )

    def settings(self) -> dict[str, Any]:
        """Divergence, merging, weights and temperatures."""
        return {
            "beta": self.beta,
            "merge": self.merge,
            "matched_weight": self.matched_weight,
            "student_temperature": self.temperatures[0],
            "teacher_temperature": self.temperatures[1],
        }
