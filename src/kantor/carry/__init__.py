"""Starting weights: a teacher's, carried into a student of other widths through transport between their units."""

from kantor.carry.carried import Carried, Group, carry
from kantor.carry.grouping import GroupingPlan
from kantor.carry.plans import LayerPlans
from kantor.carry.pruned import Choice, pruned
from kantor.carry.transported import transported

__all__ = ["Carried", "Choice", "Group", "GroupingPlan", "LayerPlans", "carry", "pruned", "transported"]
