"""Pairs of layers looked at closely: plan, measures, and what excites each neuron."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from kantor.analysis.cka import linear_cka
from kantor.analysis.distance import Matching, match_neurons
from kantor.analysis.reallocation import Reallocation, partners, reallocation
from kantor.analysis.samples import top_samples
from kantor.core.files import write_with
from kantor.ot.cost import CostKind


@dataclass(frozen=True)
class PairFound:
    """What is known of two layers."""

    a: str
    b: str
    matching: Matching
    measures: Reallocation
    cka: float
    tops: tuple[Int[Tensor, "n count"], Int[Tensor, "m count"]]
    """Rows of each neuron's top samples."""

    def facts(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        return {
            "a": self.a,
            "b": self.b,
            "widths": list(self.matching.cost.shape),
            "silent": list(self.matching.silent),
            "cka": self.cka,
            **{k: v for k, v in asdict(self.measures).items() if not k.startswith("changed")},
        }

    def partners(self) -> list[dict[str, Any]]:
        """Every neuron of the wider layer with its best partner, as :func:`~kantor.analysis.partners` finds it."""
        cost = self.matching.cost
        return [{"a": i, "b": j, "share": s, "cost": float(cost[i, j])} for i, j, s in partners(self.matching.plan)]


def look_at_pair(
    a: tuple[str, Float[Tensor, "samples n"]],
    b: tuple[str, Float[Tensor, "samples m"]],
    *,
    cost: CostKind = "correlation",
    top: int = 5,
) -> PairFound:
    """Match two layers' neurons and measure the plan.

    Args:
        a: a layer's path and its activations.
        b: the other layer's.
        cost: between neurons.
        top: samples kept of each neuron.
    """
    matching = match_neurons(a[1], b[1], cost=cost)
    return PairFound(
        a=a[0],
        b=b[0],
        matching=matching,
        measures=reallocation(matching.plan, matching.cost),
        cka=linear_cka(a[1], b[1]),
        tops=(top_samples(a[1], top), top_samples(b[1], top)),
    )


def look_at_pairs(
    a: Mapping[str, Float[Tensor, "samples n"]],
    b: Mapping[str, Float[Tensor, "samples m"]],
    pairs: Sequence[tuple[str, str]],
    *,
    cost: CostKind = "correlation",
    top: int = 5,
) -> list[PairFound]:
    """:func:`look_at_pair` for several pairs of layers."""
    return [look_at_pair((x, a[x]), (y, b[y]), cost=cost, top=top) for x, y in pairs]


def write_neurons(path: Path, found: Mapping[str, Sequence[PairFound]], ids: Int[np.ndarray, " samples"]) -> None:
    """Write plans, costs and top samples as npz, atomically.

    Arrays, for pair k: ``plan_k``, ``cost_k`` ``[n, m]``; ``top_a_k [n, count]``, ``top_b_k [m, count]``: ids of each
    neuron's top samples, strongest first; ``a_layer_k``, ``b_layer_k``; ``a_name_k``, the network that the first layer
    is of.

    Args:
        path: of the npz.
        found: pairs of layers, by the name of the first network.
        ids: of the samples that both saw.
    """
    arrays: dict[str, NDArray] = {}
    for k, (name, pair) in enumerate((name, pair) for name, pairs in found.items() for pair in pairs):
        arrays[f"a_name_{k}"] = np.array(name)
        arrays[f"plan_{k}"] = pair.matching.plan.float().numpy()
        arrays[f"cost_{k}"] = pair.matching.cost.float().numpy()
        arrays[f"top_a_{k}"], arrays[f"top_b_{k}"] = (ids[top.numpy()] for top in pair.tops)
        arrays[f"a_layer_{k}"], arrays[f"b_layer_{k}"] = np.array(pair.a), np.array(pair.b)
    # pyright takes the names for savez's own keyword; they are array names.
    write_with(path, lambda file: np.savez_compressed(file, **arrays))  # pyright: ignore[reportArgumentType]
