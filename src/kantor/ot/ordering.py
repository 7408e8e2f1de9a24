"""An order of a plan's rows and columns in which its structure shows."""

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

Matrix = Float[np.ndarray, "rows columns"]
Order = Int[np.ndarray, " size"]
CAREFUL = 512
"""Neurons up to which leaves are put in the best order their tree allows, whose price grows with the cube."""


def structured(plan: Matrix, cost: Matrix | None = None) -> tuple[Order, Order]:
    """Orders of rows and columns that put like neurons side by side and the plan's mass near the diagonal.

    The side with fewer neurons is clustered by its profiles (columns of the cost, or of the plan where there is no
    cost): average linkage under the correlation distance, leaves ordered so that neighbours are alike, as far as that
    is affordable. The other side follows by where its mass lies.

    Args:
        plan: masses.
        cost: of the same shape.

    Returns:
        Two permutations: ``plan[rows][:, columns]`` is what to draw.
    """
    profiles = plan if cost is None else cost
    if plan.shape[1] <= plan.shape[0]:
        columns = _alike(profiles.T)
        return follow(plan[:, columns]), columns
    rows = _alike(profiles)
    return rows, follow(plan[rows].T)


def follow(plan: Matrix) -> Order:
    """The order of rows by the centre of their mass along the columns; rows without mass come last."""
    mass = plan.sum(axis=1)
    centre = np.full(len(plan), np.inf)
    centre[mass > 0] = (plan[mass > 0] @ np.arange(plan.shape[1])) / mass[mass > 0]
    return np.argsort(centre, kind="stable")


def _alike(profiles: Matrix) -> Order:
    if len(profiles) < 3:
        return np.arange(len(profiles))
    centred = profiles - profiles.mean(axis=1, keepdims=True)
    # A constant profile has no direction: as far from all others as can be told, which is not at all.
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    directions = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    distances = (1 - directions @ directions.T).clip(min=0.0)[np.triu_indices(len(profiles), 1)]
    tree = linkage(distances, "average")
    return leaves_list(optimal_leaf_ordering(tree, distances) if len(profiles) <= CAREFUL else tree)
