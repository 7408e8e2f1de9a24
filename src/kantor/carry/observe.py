"""What a network's units do on data: covariances of their activations, read where they enter the next layer."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.export.graph_signature import InputKind
from torch.fx import Interpreter, Node

from kantor.carry.operations import Followed
from kantor.carry.units import Axis, Factor, expanded, size


class Moments:
    """Sum and products of rows of units, added up batch by batch."""

    def __init__(self, units: int) -> None:
        self.rows = 0
        self.sum = torch.zeros(units, dtype=torch.float64)
        self.products = torch.zeros(units, units, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Add ``[rows, units]``."""
        rows = rows.double()
        self.rows += len(rows)
        self.sum += rows.sum(0)
        self.products += rows.T @ rows

    def covariance(self) -> Float64[Tensor, "units units"]:
        """Of all rows."""
        mean = self.sum / max(1, self.rows)
        return self.products / max(1, self.rows) - mean[:, None] * mean


@torch.no_grad()
def observed(network: nn.Module, followed: Followed, batches: Iterable[Tensor]) -> dict[Factor, Moments]:
    """The moments of every factor whose units enter a layer.

    Args:
        network: what was followed.
        followed: of it.
        batches: of the size of the example that it was followed on.
    """
    reader = _Reader(network, followed)
    for batch in batches:
        reader.read(batch)
    return reader.moments


class _Reader(Interpreter):
    """Runs the traced operations and looks at what passes."""

    def __init__(self, network: nn.Module, followed: Followed) -> None:
        super().__init__(followed.program.graph_module)
        self.moments: dict[Factor, Moments] = {}
        self.watched: dict[Node, list[tuple[int, Axis]]] = {}
        for node, dim, axis in followed.readers:
            if (dim, axis) not in self.watched.setdefault(node, []):
                self.watched[node].append((dim, axis))
        tensors = {**dict(network.named_parameters(remove_duplicate=False)), **dict(network.named_buffers())}
        tensors |= followed.program.constants
        self.held: list[Any] = [
            None if spec.kind == InputKind.USER_INPUT else tensors[str(spec.target)]
            for spec in followed.program.graph_signature.input_specs
        ]

    def read(self, batch: Tensor) -> None:
        self.run(*(batch if held is None else held for held in self.held))

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        for dim, axis in self.watched.get(n, []):
            rows = value.movedim(dim, -1)
            self._look(rows.reshape(-1, rows.shape[-1]), axis)
        return value

    def _look(self, rows: Tensor, axis: Axis) -> None:
        """Rows of units along an axis, factor by factor."""
        factors = [place.factor for place in expanded(axis)]
        split = rows.reshape(-1, *(factor.size for factor in factors))
        for number, factor in enumerate(factors, start=1):
            if factor.fixed or factor.size == 1:
                continue
            units = split.movedim(number, -1).reshape(-1, factor.size)
            if factor.concatenation:
                parts = factor.concatenation
                for part, inner in zip(units.split([size(axis) for axis in parts], 1), parts, strict=True):
                    self._look(part, inner)
            else:
                self.moments.setdefault(factor, Moments(factor.size)).add(units)
