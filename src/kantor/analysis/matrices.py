"""Every layer of one model against every layer of another."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from kantor.analysis.cka import linear_cka
from kantor.analysis.distance import neuron_distance
from kantor.ot.cost import CostKind


@dataclass(frozen=True)
class Matrices:
    """Two views of the same question, layer by layer."""

    rows: list[str]
    """Layers of the first model, shallow to deep."""
    columns: list[str]
    distance: list[list[float]]
    """Transport distance; 0 is alike."""
    cka: list[list[float]]
    """Debiased linear CKA; 1 is alike."""


def layer_matrices(
    a: Mapping[str, Float[Tensor, "samples n"]],
    b: Mapping[str, Float[Tensor, "samples m"]],
    *,
    cost: CostKind = "correlation",
) -> Matrices:
    """Transport distance and linear CKA between all layers of two models, over the same samples.

    Args:
        a: activations by layer.
        b: those of the other model.
        cost: between neurons, see :func:`~kantor.analysis.match_neurons`.

    Raises:
        ShapeError: the samples are not the same number.
    """
    return Matrices(
        list(a),
        list(b),
        [[neuron_distance(x, y, cost=cost) for y in b.values()] for x in a.values()],
        [[linear_cka(x, y) for y in b.values()] for x in a.values()],
    )
