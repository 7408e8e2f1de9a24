"""Which layers a network has: everything that ran on an example and can be captured."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.capture.compiled import interpreted, named_layers
from kantor.capture.hooks import path_root
from kantor.capture.layout import Layout, as_features, image_of, logits_of, tensor_of
from kantor.capture.network import call
from kantor.capture.positions import placed
from kantor.capture.signals import Channels
from kantor.core.errors import ShapeError
from kantor.core.inputs import Inputs, samples_in
from kantor.core.modes import as_evaluated

Kind = Literal["vector", "map", "tokens"]
_KINDS: dict[int, Kind] = {1: "vector", 2: "tokens", 3: "map", 4: "map"}


@dataclass(frozen=True)
class Layer:
    """A layer that can be captured.

    Attributes:
        path: its module path, or ``PATH.input``: what the module at PATH is given, where a function made it.
        shape: of one sample's output: ``(D,)``, ``(T, D)``, ``(C, H, W)`` or ``(C, D, H, W)``.
        kind: ``vector``, ``tokens`` (a signal too) or ``map`` (a volume too).
        patches: the height and width that tokens fill where they are patches of an image; None elsewhere.
        depth: share of the network's leaf modules that have run when it returns, in (0, 1].
        leaves: leaf modules inside it; 0 where it is one itself.
        parameters: numbers to be learnt inside it.
        data: no layer with weights has run before it.
        weighted: it is a leaf with a matrix or kernel of weights (a linear layer, a convolution, a recurrent layer).
        feeds: a weighted leaf is given exactly this output.
        masked: it is a dropout, which hides some of it in training.
        summary: a vector that is the last map or token sequence averaged over positions, or flattened.
        classifier: a weighted leaf that makes the logits.
    """

    path: str
    shape: tuple[int, ...]
    kind: Kind
    depth: float
    leaves: int
    parameters: int
    patches: tuple[int, int] | None = None
    data: bool = False
    weighted: bool = False
    feeds: bool = False
    masked: bool = False
    summary: bool = False
    classifier: bool = False

    @property
    def grid(self) -> tuple[int, ...]:
        """The sides of a map or volume, or of the grid that patches fill; a sequence's length; a vector is one cell."""
        if self.kind == "map":
            return self.shape[1:]
        return self.patches or ((self.shape[0],) if self.kind == "tokens" else (1, 1))

    @property
    def cells(self) -> int:
        """Positions: cells of the grid."""
        return math.prod(self.grid)

    @property
    def width(self) -> int:
        """Channels of a map, dimensions of a token or vector: the number of neurons."""
        return self.shape[0] if self.kind == "map" else self.shape[-1]


def candidates(network: nn.Module, example: Inputs) -> list[Layer]:
    """Every layer whose output can be captured, in the order in which they return.

    The network runs once on ``example``, in eval mode and without gradients, and is left as it was. Modules that did
    not run, or whose output has no usable form, are left out; one that runs twice counts by its last call. What a
    weighted leaf is given stands among them as ``PATH.input`` where no module returned it: the activation of a plain
    network that calls ``torch.relu`` between its layers.

    Args:
        network: any module; of a ``Model`` the layers of its ``network`` are listed.
        example: an input batch, one sample is enough.
    """
    root = path_root(network)
    trace = _Trace(example, Channels(root))
    with ExitStack() as hooks, as_evaluated(network), interpreted(network), torch.no_grad(), _every_module_runs():
        hooks.callback(root.register_forward_pre_hook(trace.begin, with_kwargs=True).remove)
        hooks.callback(root.register_forward_hook(trace.end).remove)
        for module in trace.channels.telling:
            hooks.callback(module.register_forward_hook(trace.channels.ran).remove)
        for path, module in named_layers(root):
            if path:
                hooks.callback(module.register_forward_pre_hook(trace.given(path), with_kwargs=True).remove)
                hooks.callback(module.register_forward_hook(trace.returned(path)).remove)
        call(network, example)
    return trace.layers()


class _Trace:
    """What one forward showed: which modules returned what, and which tensor went from where to where."""

    def __init__(self, example: Inputs, channels: Channels) -> None:
        self.example, self.batch = example, samples_in(example)
        self.channels = channels
        self.image: tuple[int, int] | None = None
        self.runs = 0
        self.found: dict[str, Layer] = {}
        self.calls: Counter[str] = Counter()
        self.makers: dict[tuple[int, int], str] = {}
        """Path of the module that first returned a tensor, by the tensor and its version (in-place operations)."""
        self.feeding: set[str] = set()
        """Paths of the layers whose output a weighted leaf is given."""
        self.alive: list[Tensor] = []
        """A tensor's ``id`` names it only while it lives."""
        self.wide: Tensor | None = None
        """The last map or token sequence."""
        self.begun = False
        """A weighted leaf has run: what comes now is no longer the data."""
        self.inputs: set[int] = set()
        """Where the data lie in memory, views of them too."""
        self.classifier: str | None = None
        """Path of the layer that makes the logits."""

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        given = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
        self.inputs = {_place(x) for x in given}
        self.image = image_of(given)

    def end(self, module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG002
        with suppress(ShapeError):
            logits = logits_of(output, "the network", batch=self.batch)
            self.classifier = self.makers.get(_now(logits))

    def given(self, path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = next((x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)), None)
            if x is None or not self.begun or not _weighted(module) or _place(x) in self.inputs:
                return
            maker = self.makers.get(_now(x), f"{path}.input")
            if maker == f"{path}.input":
                self._keep(maker, x, self.channels.at(x, self.image, module))
            self.feeding.add(maker)

        return hook

    def returned(self, path: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
            leaves = sum(next(inner.children(), None) is None for inner in module.modules() if inner is not module)
            self.runs += leaves == 0
            self.calls[path] += 1
            try:
                x = tensor_of(output, path)
            except ShapeError:
                return
            masked = isinstance(module, _DROPOUT)
            # What dropout hands on in eval mode is what the layer before it made. A module that runs again is read
            # where it ran last, so an earlier output has no path.
            if not masked and self.calls[path] == 1:
                self.alive.append(x)
                self.makers.setdefault(_now(x), path)
            parameters = sum(parameter.numel() for parameter in module.parameters())
            weighted = _weighted(module)
            self.begun |= weighted
            layout = self.channels.at(x, self.image)
            self._keep(path, x, layout, leaves=leaves, parameters=parameters, weighted=weighted, masked=masked)

        return hook

    def layers(self) -> list[Layer]:
        """What was found, with depths as shares and with what each layer feeds."""
        return [
            replace(
                layer,
                depth=layer.depth / max(self.runs, 1),
                feeds=path in self.feeding and self.calls[path] < 2,
                classifier=layer.weighted and path == self.classifier,
            )
            for path, layer in self.found.items()
        ]

    def _keep(
        self, path: str, x: Tensor, layout: Layout | None, leaves: int = 0, parameters: int = 0, **kind: bool
    ) -> None:
        try:
            features = as_features(x, path, image=self.image, batch=self.batch, layout=layout)
        except ShapeError:
            return
        summary = features.ndim == 2 and self.wide is not None and _summarises(features, self.wide)
        self.wide = self.wide if features.ndim == 2 else features
        self.found.pop(path, None)
        self.found[path] = Layer(
            path=path,
            shape=tuple(features.shape[1:]),
            kind=_KINDS[features.ndim - 1],
            depth=float(self.runs),
            leaves=leaves,
            parameters=parameters,
            patches=placed(features, self.example).grid,
            data=not self.begun,
            summary=summary,
            **kind,
        )


def _summarises(vector: Float[Tensor, "batch dim"], wide: Float[Tensor, "batch ..."]) -> bool:
    averaged = wide.mean(dim=1 if wide.ndim == 3 else tuple(range(2, wide.ndim)))
    summaries = [averaged, wide.flatten(1), *([wide.mT.flatten(1)] if wide.ndim == 3 else [])]
    # Under autocast one may be in half precision.
    return any(vector.shape == x.shape and torch.allclose(vector.to(x.dtype), x, atol=1e-6) for x in summaries)


def _place(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


def _now(x: Tensor) -> tuple[int, int]:
    """A tensor as it is now: what is done in place makes it another. Of one made in inference mode nobody knows."""
    return id(x), 0 if x.is_inference() else x._version


_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def _weighted(module: nn.Module) -> bool:
    """A leaf with a matrix or kernel of weights; a normalisation's scale is a vector."""
    if any(name != "parametrizations" for name, _ in module.named_children()):
        return False
    own = [*module.parameters(recurse=False), getattr(module, "weight", None)]  # a parametrised weight is no parameter
    return any(isinstance(x, Tensor) and x.ndim > 1 for x in own)


@contextmanager
def _every_module_runs() -> Iterator[None]:
    """Keep torch's fused transformer layers from passing their own modules by, so that every leaf is counted."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
