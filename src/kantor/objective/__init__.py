"""Task loss and weighted transfer terms as one module, with the checks before the first step."""

from kantor.objective.facts import StepZero
from kantor.objective.objective import Objective, Result
from kantor.objective.teachers import CachedTeacher, LiveTeacher, Read, Teacher
from kantor.objective.terms import Bound, Term
from kantor.objective.weights import Balanced, Weight

__all__ = [
    "Balanced",
    "Bound",
    "CachedTeacher",
    "LiveTeacher",
    "Objective",
    "Read",
    "Result",
    "StepZero",
    "Teacher",
    "Term",
    "Weight",
]
