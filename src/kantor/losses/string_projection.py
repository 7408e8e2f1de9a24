"""String projection: the teacher's next token, carried to the student's vocabulary by how tokens are written."""

from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from kantor.capture.spans import SharedSpans
from kantor.losses.base import Mask
from kantor.losses.mapped import MappedLoss
from kantor.losses.precision import transfer
from kantor.losses.settings import positive
from kantor.losses.token_rows import carried_kl, check_map, predicted_rows, row_values
from kantor.losses.vocabulary_map import VocabularyMap


@transfer
def string_projection(
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    vocabulary: VocabularyMap,
    *,
    spans: SharedSpans | None = None,
    targets: Tensor | None = None,
    masks: tuple[Mask, Mask] = (None, None),
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """``T^2 * mean over spans of KL(q || softmax(student / T))``, q the teacher's probabilities through string rules.

    A teacher's token that the student has too goes there; another goes to the first (at most four) tokens by which the
    student writes it, with falling weights that sum to 1 (:func:`kantor.faculty.vocabulary.string_rules`). After
    X-Token (arXiv 2605.21699), known to us by its abstract and press: it does not say how weights fall (we take
    .5 of the one before), what becomes of a token that cannot be written (its mass is left out), or which way the
    divergence goes (we take kd's).

    Args:
        student, teacher, vocabulary, spans, targets, masks, temperature: as for
            :func:`~kantor.losses.vocabulary_transport.vocabulary_transport`.

    Raises:
        ShapeError: as there.
    """
    rows = predicted_rows("string_projection", student, teacher, spans=spans, targets=targets, masks=masks)
    check_map("string_projection", vocabulary, student.shape, teacher.shape)
    return rows.mean(row_values(carried_kl(vocabulary, temperature), student, teacher, rows))


class StringProjection(MappedLoss):
    """:func:`string_projection` as a term.

    Args:
        vocabulary: the map; None where the study makes it from both tokenizers.
        temperature: see :func:`string_projection`.
    """

    name: ClassVar = "string_projection"
    paper: ClassVar = "arXiv 2605.21699"
    map_kind = "strings"
    takes_top = True

    def __init__(self, vocabulary: VocabularyMap | None = None, temperature: float = 1.0) -> None:
        super().__init__(vocabulary)
        positive(self.name, temperature=temperature)
        self.temperature = temperature

    def compared(self, student, teacher, spans, targets, masks) -> Tensor:
        """See :func:`string_projection`."""
        return string_projection(
            student,
            teacher,
            self.known(),
            spans=spans,
            targets=targets,
            masks=masks,
            temperature=self.temperature,
        )

    def settings(self) -> dict[str, Any]:
        """The temperature."""
        return {"temperature": self.temperature}
