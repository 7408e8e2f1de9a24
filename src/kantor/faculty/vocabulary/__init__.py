"""Transport between two vocabularies: which of a teacher's tokens, or labels, go to which of the student's."""

from kantor.faculty.vocabulary.plan import PlanSettings, VocabularyPlan, solve_vocabulary
from kantor.faculty.vocabulary.rules import same_tokens, string_rules
from kantor.faculty.vocabulary.together import Together, of_predictions, of_stores, of_texts

__all__ = [
    "PlanSettings",
    "Together",
    "VocabularyPlan",
    "of_predictions",
    "of_stores",
    "of_texts",
    "same_tokens",
    "solve_vocabulary",
    "string_rules",
]
