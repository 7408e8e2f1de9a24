"""Vocabulary transport: the teacher's next token, carried to the student's vocabulary by a transport plan."""

from typing import Any, ClassVar, Literal, get_args

from jaxtyping import Float
from torch import Tensor

from kantor.capture.spans import SharedSpans
from kantor.core.errors import ConfigError, suggest
from kantor.losses.base import Mask
from kantor.losses.mapped import MappedLoss
from kantor.losses.precision import transfer
from kantor.losses.settings import positive
from kantor.losses.token_rows import carried_kl, check_map, predicted_rows, row_values
from kantor.losses.vocabulary_map import VocabularyMap

PlanCost = Literal["both", "strings", "cooccurrence"]
"""What a plan is made of: how tokens are written, which tokens come together in text, or both."""


@transfer
def vocabulary_transport(
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    vocabulary: VocabularyMap,
    *,
    spans: SharedSpans | None = None,
    targets: Tensor | None = None,
    masks: tuple[Mask, Mask] = (None, None),
    temperature: float = 1.0,
    top: int | None = None,
) -> Float[Tensor, ""]:
    """``T^2 * mean over spans of m KL(q / m || softmax(student / T))`` with ``q = W' softmax(teacher / T)``.

    W are the shares by which a plan between the vocabularies sends each of the teacher's tokens to the student's
    (:func:`kantor.faculty.vocabulary.solve_vocabulary`), m is the mass of q: what finds no partner teaches nothing.
    Both predictions are of what follows the same text, see :func:`~kantor.losses.token_rows.predicted_rows`. Where W
    is the identity this is kd.

    No paper is known to solve for W: it takes the place of the string rules of X-Token (arXiv 2605.21699).

    Args:
        student: logits per token; may be wider than the map, padded.
        teacher: the same, of another vocabulary, at other tokens.
        vocabulary: W.
        spans: which tokens begin and end together; None where both sides have the same tokens.
        targets: labels per token, -100 for those that do not count.
        masks: of student and teacher, which tokens are no padding; read where there are no spans.
        temperature: T > 0.
        top: how many of the teacher's likeliest tokens are carried; all where left out.

    Raises:
        ShapeError: these are no logits per token of the same samples, or not of the map's vocabularies; or the sides
            have other tokens and there are no spans.
    """
    rows = predicted_rows("vocabulary_transport", student, teacher, spans=spans, targets=targets, masks=masks)
    check_map("vocabulary_transport", vocabulary, student.shape, teacher.shape)
    return rows.mean(row_values(carried_kl(vocabulary, temperature, top), student, teacher, rows))


class VocabularyTransport(MappedLoss):
    """:func:`vocabulary_transport` as a term.

    Args:
        vocabulary: the map; None where the study makes it from both tokenizers and its text.
        temperature, top: see :func:`vocabulary_transport`.
        cost: what a study's plan is made of: ``strings``, ``cooccurrence`` (which tokens begin the same spans of the
            training text), or ``both``.
    """

    name: ClassVar = "vocabulary_transport"
    paper: ClassVar = "ours, after arXiv 2204.11526"
    takes_top = True

    def __init__(
        self,
        vocabulary: VocabularyMap | None = None,
        temperature: float = 1.0,
        top: int | None = None,
        cost: PlanCost = "both",
    ) -> None:
        super().__init__(vocabulary)
        positive(self.name, temperature=temperature, top=1 if top is None else top)
        if cost not in get_args(PlanCost):
            raise ConfigError(f"{self.name}: unknown cost {cost!r}. {suggest(str(cost), get_args(PlanCost))}")
        self.temperature, self.top, self.cost = temperature, top, cost
        self.map_kind = f"plan-{cost}"

    def compared(self, student, teacher, spans, targets, masks) -> Tensor:
        """See :func:`vocabulary_transport`."""
        return vocabulary_transport(
            student,
            teacher,
            self.known(),
            spans=spans,
            targets=targets,
            masks=masks,
            temperature=self.temperature,
            top=self.top,
        )

    def settings(self) -> dict[str, Any]:
        """Temperature, how many tokens are carried, and the plan's cost."""
        return {"temperature": self.temperature, "top": self.top, "cost": self.cost}
