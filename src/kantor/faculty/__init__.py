"""Which teacher, and how to learn from one whose labels are not mine: scores, rankings, costs between labels."""

from kantor.faculty.config import Rank
from kantor.faculty.rank import rank_teachers
from kantor.faculty.ranking import Ranking

__all__ = ["Rank", "Ranking", "rank_teachers"]
