"""Which of many units become one: transport with equal masses between a teacher's units and a student's."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

GroupingPlan = Literal["optimal", "identity", "random"]
"""How units are grouped: by transport; or, as a control that never looks at what they do, neighbours (``identity``) or
any (``random``)."""
_ROUNDS = 20
_STARTS = 3


@dataclass(frozen=True)
class Grouping:
    """A plan between ``units`` of a teacher and ``made`` of a student, as what it does to weights.

    Attributes:
        averaged: ``[made, units]``, rows sum to 1: what a student's unit is of the teacher's.
        summed: ``[made, units]``, columns sum to 1: what a student's unit passes on of each of them.
        cosine: of the teacher's units with the student's unit that takes each one's place, their mean; 1 where every
            unit keeps a place of its own.
        chosen: some units keep their places, and the others are left out: the columns of these are 0, and ``cosine`` is
            the share that stays.
    """

    averaged: Float64[Tensor, "made units"]
    summed: Float64[Tensor, "made units"]
    cosine: float
    chosen: bool = False

    @classmethod
    def of_chosen(cls, chosen: Int64[Tensor, " made"], units: int) -> "Grouping":
        """Of units that keep their places, where the others are left out."""
        which = torch.nn.functional.one_hot(chosen, units).double()
        return cls(which, which, len(chosen) / units, chosen=True)


def grouped(
    covariance: Float64[Tensor, "units units"], made: int, seed: int = 0, plan: GroupingPlan = "optimal"
) -> Grouping:
    """Groups of units as equal in number as can be, whose members say the same: spherical k-means with capacities.

    Given the groups' centres the plan of least cost is an assignment; given the plan the centres are its barycentres.
    The two are taken in turns, from several starts. With as many units as before each keeps its place; with more,
    units are copied, and what a copy passes on differs from copy to copy, so that training can tell them apart.

    Args:
        covariance: of the units' activations.
        made: how many units there are to be.
        seed: of the starts, or of the random groups.
        plan: how they are grouped.
    """
    units = len(covariance)
    generator = np.random.default_rng(seed)
    if made == units:
        one = torch.eye(units, dtype=torch.float64)
        return Grouping(one, one, 1.0)
    if made > units:
        return _copied(units, made, generator)
    deviation = covariance.diagonal().clamp(min=0).sqrt()
    scale = torch.where(deviation > 0, 1 / deviation, 0.0)
    alike = (covariance * scale[:, None] * scale).numpy()
    if plan == "optimal":
        starts = range(_STARTS if units <= 512 else 1)
        best = max((_found(alike, made, generator) for _ in starts), key=lambda one: one[1])
    else:
        order = generator.permutation(units) if plan == "random" else np.arange(units)
        group = order * made // units
        best = group, _mean_cosine(alike, group, _near(alike, group, made))
    summed = torch.nn.functional.one_hot(torch.from_numpy(best[0]), made).T.double()
    return Grouping(summed / summed.sum(1, keepdim=True), summed, best[1])


def _copied(units: int, made: int, generator: np.random.Generator) -> Grouping:
    source = torch.arange(made) % units
    averaged = torch.nn.functional.one_hot(source, units).double()
    shares = averaged * torch.from_numpy(generator.uniform(0.5, 1.5, (made, 1)))
    return Grouping(averaged, shares / shares.sum(0), 1.0)


def _found(alike: np.ndarray, made: int, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Each unit's group, and the mean cosine with its centre."""
    units = len(alike)
    floor, places = units // made, -(-units // made)
    # The first places of every group are always taken, so that none is empty.
    bonus = np.tile(np.r_[np.full(floor, 4.0), np.zeros(places - floor)], made)
    near = alike[:, _spread(alike, made, generator)]
    group, cosine = np.full(units, -1), -np.inf
    for _ in range(_ROUNDS):
        rows, columns = linear_sum_assignment(np.repeat(near, places, axis=1) + bonus, maximize=True)
        assigned = np.empty(units, dtype=np.int64)
        assigned[rows] = columns // places
        if (assigned == group).all():
            break
        group = assigned
        near = _near(alike, group, made)
        cosine = _mean_cosine(alike, group, near)
    return group, cosine


def _near(alike: np.ndarray, group: np.ndarray, made: int) -> np.ndarray:
    """Each unit's cosine with the mean of every group."""
    member = np.eye(made)[group]
    norms = np.sqrt(np.maximum(np.einsum("ug,uv,vg->g", member, alike, member, optimize=True), 1e-12))
    return alike @ member / norms


def _mean_cosine(alike: np.ndarray, group: np.ndarray, near: np.ndarray) -> float:
    """The mean cosine with the group's own mean, over units that move: what never does is nothing to keep."""
    alive = np.diag(alike) > 0
    return float(near[np.arange(len(alike)), group][alive].mean()) if alive.any() else 1.0


def _spread(alike: np.ndarray, made: int, generator: np.random.Generator) -> list[int]:
    """First centres: units drawn by how far they are from those before (k-means++)."""
    centres = [int(generator.integers(len(alike)))]
    for _ in range(made - 1):
        far = np.maximum(1 - alike[:, centres].max(1), 0)
        far[centres] = 0
        total = far.sum()
        rest = np.setdiff1d(np.arange(len(alike)), centres)
        centres.append(int(generator.choice(len(alike), p=far / total)) if total > 0 else int(rest[0]))
    return centres
