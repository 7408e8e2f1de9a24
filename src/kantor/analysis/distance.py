"""How far two layers are from each other: neurons matched by optimal transport."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.losses.features import pool
from kantor.losses.slow_plan import SolveSettings
from kantor.ot.cost import CostKind
from kantor.ot.moments import cost_from, moments, silent

NEARLY_EXACT = 0.002
"""Epsilon, as a share of the mean cost, where widths differ: the value is within a thousandth of the optimum's."""


@dataclass(frozen=True)
class Matching:
    """The neurons of two layers, matched.

    Attributes:
        cost: between neuron i of the one and neuron j of the other.
        plan: masses that sum to 1, uniform over the neurons that take part.
        silent: how many neurons of each side take no part, since they never vary.
    """

    cost: Float[Tensor, "n m"]
    plan: Float[Tensor, "n m"]
    silent: tuple[int, int]

    @property
    def distance(self) -> float:
        """``<P, C>``, in the cost's units."""
        return (self.plan * self.cost).sum().item()


def match_neurons(
    a: Float[Tensor, "samples ..."],
    b: Float[Tensor, "samples ..."],
    *,
    cost: CostKind = "correlation",
    solve: SolveSettings | None = None,
) -> Matching:
    """Match the neurons of two layers by the optimal transport plan between them.

    A neuron is a function, seen through its activations; a channel of a map (or a token's dimension) is one neuron,
    averaged over positions. A neuron that never varies is no function to be matched: under the costs that can say
    nothing of it (``correlation``; ``cosine``, where it is zero) it is left out and counted. Where all of a side are
    silent nothing is left out, and everything costs 1.

    Args:
        a: activations of one layer, ``[samples, n]``, ``[samples, n, h, w]`` or ``[samples, tokens, n]``.
        b: the same samples' activations in the other layer, of any width.
        cost: how two neurons are compared. ``correlation`` sees neither scale nor offset, ``cosine`` no scale,
            ``sqeuclidean`` (the mean over samples) and its kin both.
        solve: how the plan is found. By default the exact assignment where as many neurons take part on either side,
            and elsewhere Sinkhorn's plan at epsilon .002 of the mean cost, whose ``<P, C>`` is within a thousandth.

    Raises:
        ShapeError: the layers have other numbers of samples, or no usable shape.
        ConfigError: an unknown cost.
    """
    stats = moments(pool(a), pool(b), cost)
    matrix = cost_from(stats, cost)
    none_a, none_b = silent(stats, cost)
    rows, columns = (~none_a).nonzero()[:, 0], (~none_b).nonzero()[:, 0]
    if len(rows) == 0 or len(columns) == 0:
        plan = torch.full_like(matrix, 1.0 / matrix.numel())
    else:
        part = matrix[rows][:, columns]
        square = len(rows) == len(columns)
        solve = solve or (SolveSettings("exact") if square else SolveSettings(epsilon=NEARLY_EXACT))
        plan = torch.zeros_like(matrix)
        plan[rows[:, None], columns[None, :]] = solve(part).plan
    return Matching(matrix, plan, (int(none_a.sum()), int(none_b.sum())))


def neuron_distance(
    a: Float[Tensor, "samples ..."], b: Float[Tensor, "samples ..."], *, cost: CostKind = "correlation"
) -> float:
    """The transport distance between two layers: 0 where one is the other with its neurons in another order.

    See :func:`match_neurons`. Under ``correlation`` it lies in [0, 2]: 1 is what unrelated neurons cost.
    """
    return match_neurons(a, b, cost=cost).distance
