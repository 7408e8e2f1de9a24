"""What a transport plan between neurons says: who stayed, who changed partner, how sharp it is, what it saves."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.losses.neuron_transport import identity_plan

IN_PLACE = 1e-3
"""Of what neurons matched at random cost. Where those of the same number cost less, they are in their place already,
and what a plan saves over that would be a ratio of the solver's own tolerances."""


@dataclass(frozen=True)
class Reallocation:
    """Measures of one plan; shares are in [0, 1], costs in the cost's units."""

    entropy: float
    """0 where every neuron of the narrower side has its own partners, 1 for the uniform plan."""
    diagonal: float | None
    """Share of the mass that goes from neuron i to neuron i; None where widths differ."""
    changed_since_first: float | None
    """Share of the wider side's neurons (the second's where widths are equal) whose best partner is not the one of the
    first plan."""
    changed_since_previous: float | None
    """The same against the plan before."""
    distance: float | None
    """``<P, C>``."""
    identity: float | None
    """What the identity plan costs (blocks where widths differ)."""
    gap: float | None
    """``(identity - distance) / identity``: what the plan saves over leaving neurons in their order; 0 where they are
    in their place already, below :data:`IN_PLACE`. An entropic plan may cost a little more than the identity plan."""


def reallocation(
    plan: Float[Tensor, "n m"],
    cost: Float[Tensor, "n m"] | None = None,
    *,
    first: Float[Tensor, "n m"] | None = None,
    previous: Float[Tensor, "n m"] | None = None,
) -> Reallocation:
    """Measure a plan, by itself and against earlier ones (arXiv 2007.06737's question of neuron reallocation).

    Entropy is ``(H(P) - max(H(a), H(b))) / min(H(a), H(b))`` with the plan's marginals ``a`` and ``b``. Neurons
    without mass have no partner and are not counted.

    Args:
        plan: masses; rows are the one layer's neurons (the teacher's), columns the other's (the student's).
        cost: between the same neurons; distance and gap need it.
        first: the plan of epoch 0.
        previous: the plan of the record before.

    Raises:
        ShapeError: plans and cost are of different sizes.
    """
    for other in (cost, first, previous):
        if other is not None and other.shape != plan.shape:
            raise ShapeError(f"A plan of {tuple(plan.shape)} is measured against one of {tuple(other.shape)}.")
    share = plan.double() / plan.double().sum()
    rows, columns = share.sum(1), share.sum(0)
    low, high = sorted((_entropy(rows), _entropy(columns)))
    entropy = min(max((_entropy(share) - high) / low, 0.0), 1.0) if low > 0 else 0.0
    distance = identity = gap = None
    if cost is not None:
        straight = identity_plan(*plan.shape).to(share)
        # What the plan leaves out, the identity leaves out too: else it would pay for neurons that say nothing.
        straight = straight * (rows > 0)[:, None] * (columns > 0)[None, :]
        distance = (share * cost).sum().item()
        identity = (straight * cost).sum().item() / straight.sum().item() if straight.sum() > 0 else None
        if identity is not None:
            at_random = (rows @ cost.to(share) @ columns).item()
            gap = (identity - distance) / identity if identity > IN_PLACE * at_random else 0.0
    return Reallocation(
        entropy=entropy,
        diagonal=share.diagonal().sum().item() if share.shape[0] == share.shape[1] else None,
        changed_since_first=None if first is None else changed(plan, first),
        changed_since_previous=None if previous is None else changed(plan, previous),
        distance=distance,
        identity=identity,
        gap=gap,
    )


def changed(plan: Float[Tensor, "n m"], other: Float[Tensor, "n m"]) -> float:
    """Share of the wider side's neurons whose largest mass goes elsewhere than in ``other``; those without mass aside.

    A neuron of the narrower side has several partners of equal mass, so which one is largest says nothing.
    """
    if plan.shape[0] > plan.shape[1]:
        return changed(plan.mT, other.mT)
    counted = (plan.sum(0) > 0) & (other.sum(0) > 0)
    reassigned = (plan.argmax(0) != other.argmax(0)) & counted
    return reassigned.sum().item() / max(int(counted.sum()), 1)


def partners(plan: Float[Tensor, "n m"]) -> list[tuple[int, int, float]]:
    """Every neuron of the wider side (the second, of equals) with its best partner in the other.

    Returns:
        First side's neuron, second side's, and the partner's share of the neuron's mass; those without mass are not
        listed.
    """
    if plan.shape[0] > plan.shape[1]:
        return [(i, j, share) for j, i, share in partners(plan.mT)]
    mass, (largest, best) = plan.sum(0), plan.max(0)
    return [(int(best[j]), j, float(largest[j] / mass[j])) for j in mass.nonzero()[:, 0].tolist()]


def _entropy(share: Tensor) -> float:
    return -torch.xlogy(share, share).sum().item()
