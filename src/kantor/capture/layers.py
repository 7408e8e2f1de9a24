"""Which layers a network has: everything that ran on an example and can be captured."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.capture.compiled import interpreted, named_layers
from kantor.capture.hooks import path_root
from kantor.capture.layout import as_features, tensor_of
from kantor.capture.network import call
from kantor.core.errors import ShapeError

Kind = Literal["vector", "map", "tokens"]
_KINDS: dict[int, Kind] = {1: "vector", 2: "tokens", 3: "map"}


@dataclass(frozen=True)
class Layer:
    """A layer that can be captured.

    Attributes:
        path: its module path.
        shape: of one sample's output: ``(D,)``, ``(C, H, W)`` or ``(T, D)``.
        kind: ``vector``, ``map`` or ``tokens``.
        depth: share of the network's leaf modules that have run when it returns, in (0, 1].
        leaves: leaf modules inside it; 0 where it is one itself.
        parameters: numbers to be learnt inside it.
    """

    path: str
    shape: tuple[int, ...]
    kind: Kind
    depth: float
    leaves: int
    parameters: int

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of a map; tokens are counted as a square, a vector as one cell."""
        if self.kind == "map":
            return self.shape[1], self.shape[2]
        side = round(self.shape[0] ** 0.5) if self.kind == "tokens" else 1
        return side, side

    @property
    def cells(self) -> int:
        """Positions: cells of the grid."""
        return self.grid[0] * self.grid[1]

    @property
    def width(self) -> int:
        """Channels of a map, dimensions of a token or vector: the number of neurons."""
        return self.shape[0] if self.kind == "map" else self.shape[-1]


def candidates(network: nn.Module, example: Float[Tensor, "batch ..."]) -> list[Layer]:
    """Every module whose output can be captured, in the order in which they return.

    The network runs once on ``example``, in eval mode and without gradients, and is left as it was. Modules that did
    not run, or whose output has no usable form, are left out; one that runs twice counts by its last call.

    Args:
        network: any module; of a ``Model`` the layers of its ``network`` are listed.
        example: an input batch, one sample is enough.
    """
    root = path_root(network)
    runs = 0
    found: dict[str, Layer] = {}
    image: tuple[int, int] | None = None

    def begin(module: nn.Module, args: tuple[Any, ...]) -> None:  # noqa: ARG001
        nonlocal image
        if args and isinstance(args[0], Tensor) and args[0].ndim == 4:
            image = (args[0].shape[2], args[0].shape[3])

    def visit(path: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
            nonlocal runs
            leaves = sum(next(inner.children(), None) is None for inner in module.modules() if inner is not module)
            parameters = sum(parameter.numel() for parameter in module.parameters())
            runs += leaves == 0
            try:
                x = as_features(tensor_of(output, path), path, image=image, batch=len(example))
            except ShapeError:
                return
            found.pop(path, None)
            found[path] = Layer(path, tuple(x.shape[1:]), _KINDS[x.ndim - 1], float(runs), leaves, parameters)

        return hook

    with ExitStack() as hooks, as_evaluated(network), interpreted(network), torch.no_grad():
        hooks.callback(root.register_forward_pre_hook(begin).remove)
        for path, module in named_layers(root):
            if path:
                hooks.callback(module.register_forward_hook(visit(path)).remove)
        call(network, example)
    return [replace(layer, depth=layer.depth / max(runs, 1)) for layer in found.values()]


@contextmanager
def as_evaluated(network: nn.Module) -> Iterator[None]:
    """The network in eval mode; every module's own mode is put back afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
