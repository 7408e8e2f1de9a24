"""Follow a network's units from its input to its output, through the operations that it is made of."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind
from torch.fx import Node

from kantor.carry.operations import RULES, Axes, Call, Followed, Several, Value, broadcast, shape_of, unknown
from kantor.carry.units import fix, fresh
from kantor.core.errors import ConfigError
from kantor.core.modes import as_evaluated


def follow(network: nn.Module, example: Tensor, name: str = "The network") -> Followed:
    """Trace a network on an example, and follow its units.

    Args:
        network: in whatever mode; it is traced in eval mode.
        example: ``[batch, ...]``, at least two samples.
        name: the network's, for messages.

    Raises:
        ConfigError: it cannot be traced: its operations depend on its values.
    """
    try:
        with as_evaluated(network), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch warns of what torch itself calls
            program = torch.export.export(network, (example,), strict=False).run_decompositions()
    except Exception as error:  # whatever a stranger's forward raises under a tracer
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"{name} cannot be traced, so that its units cannot be followed ({first}). Start it from scratch."
        ) from error
    found = Followed(program)
    kinds = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    values: dict[Node, Value] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            values[node] = _given(node, kinds[node.name], found)
        elif node.op == "call_function":
            values[node] = _called(node, values, found)
            _note_layers(node, values, found)
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    for node in output.all_input_nodes:
        for axis in _axes(values[node]):
            fix(axis)
    return found


def _given(node: Node, spec: Any, found: Followed) -> Value:
    shape = shape_of(node)
    if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
        axes = tuple(fresh(n, (spec.target, dim)) for dim, n in enumerate(shape))
        found.parameters[spec.target] = axes
        return axes
    return tuple(fresh(n, fixed=True) for n in shape)


def _note_layers(node: Node, values: dict[Node, Value], found: Followed) -> None:
    """Keep what enters a module, and what is the last to be made in it."""
    inside = _modules(node)
    for path in inside:
        if f"{path}.input" not in found.layers:
            entering = [n for n in node.all_input_nodes if n.op != "placeholder" and path not in _modules(n)]
            if entering and isinstance(given := values[entering[0]], tuple):
                found.layers[f"{path}.input"] = given
        if isinstance(made := values[node], tuple):
            found.layers[path] = made


def _modules(node: Node) -> list[str]:
    """The modules, by path, in whose forward an operation is."""
    return [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]


def _called(node: Node, values: dict[Node, Value], found: Followed) -> Value:
    target = node.target
    if getattr(target, "__name__", "") == "getitem":
        held, place = values[node.args[0]], node.args[1]  # pyright: ignore[reportArgumentType]
        return held[place] if isinstance(held, Several) and isinstance(place, int) else None
    name = str(target).removeprefix("aten.").partition(".")[0]
    inputs = [values.get(n) for n in node.all_input_nodes]
    if name in RULES:
        return RULES[name](Call(node, values, found))
    shape = shape_of(node) if isinstance(node.meta.get("val"), Tensor) else None
    if shape is not None and _elementwise(shape, node):
        return broadcast([_axes(v) for v in inputs], shape)
    for value in inputs:
        for axis in _axes(value):
            fix(axis, f"{name} mixes its axes")
    return unknown(node.meta.get("val"))


def _elementwise(shape: Sequence[int], node: Node) -> bool:
    if torch.Tag.pointwise in getattr(node.target, "tags", ()):
        return True
    name = str(node.target)
    return any(name.startswith(f"aten.{known}.") for known in _SAME_SHAPE) and all(
        list(shape_of(n)) == list(shape) for n in node.all_input_nodes[:1]
    )


_SAME_SHAPE = ("_softmax", "_log_softmax", "clone", "alias", "detach", "_to_copy", "lift_fresh_copy", "native_dropout",
               "cumsum", "flip", "contiguous", "copy", "full_like",
               "zeros_like", "ones_like", "empty_like", "scalar_tensor")  # fmt: skip


def _axes(value: Value) -> Axes:
    if isinstance(value, Several):
        return tuple(axis for one in value for axis in _axes(one))
    return value or ()
