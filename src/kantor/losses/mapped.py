"""Losses between two vocabularies, which a map of their tokens brings together."""

from kantor.core.errors import ConfigError
from kantor.losses.base import Shapes
from kantor.losses.token_loss import TokenLoss
from kantor.losses.token_rows import check_map
from kantor.losses.vocabulary_map import VocabularyMap


class MappedLoss(TokenLoss):
    """A loss on logits per token of two vocabularies.

    The map is a setting, so it is not among the saved state.

    Args:
        vocabulary: the map; None where it is handed over by :meth:`use` before :meth:`build`.
    """

    map_kind: str
    """Which map a study makes for it: ``strings``, of string rules; ``same``, of the tokens that are written the same;
    or ``plan-COST``, of a transport plan."""

    def __init__(self, vocabulary: VocabularyMap | None) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def use(self, vocabulary: VocabularyMap) -> None:
        """Take the map."""
        self.vocabulary = vocabulary

    def known(self) -> VocabularyMap:
        """The map.

        Raises:
            ConfigError: there is none.
        """
        if self.vocabulary is None:
            raise ConfigError(
                f"{self.name} needs to know which tokens of the two vocabularies correspond. A study of two language "
                "models (--task next_token) makes that map of their tokenizers and its text; in your own loop give "
                "the map of a plan, see kantor.faculty.vocabulary."
            )
        return self.vocabulary

    def build(self, student_shapes: Shapes, teacher_shapes: Shapes, samples: int) -> None:
        """Check that both give logits per token, of the map's vocabularies.

        Raises:
            ShapeError: they do not.
            ConfigError: there is no map.
        """
        super().build(student_shapes, teacher_shapes, samples)
        check_map(self.name, self.known(), student_shapes[0], teacher_shapes[0])
