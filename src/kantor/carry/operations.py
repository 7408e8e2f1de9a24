"""What each operation does to the units on the axes of its arguments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from kantor.carry import units
from kantor.carry.units import Axis, Factor, Owner, Place, concatenated, expanded, fix, fresh, leaves, size, unify

Axes = tuple[Axis, ...]


class Several(list["Value"]):
    """What an operation with several outputs gives."""


Value = Axes | Several | None
"""The axes of a tensor, of several, or of what is no tensor."""


@dataclass
class Followed:
    """Which axes of a network hold the same units.

    Attributes:
        program: the network's operations.
        parameters: by name, the axes of every parameter and buffer.
        summed: dimensions of parameters over which units are added up: inputs of linear layers and convolutions.
        readers: values whose units, along a dimension, enter such a layer: what they do is seen there.
        scored: units whose products are added up, as those of queries and keys.
        layers: axes of what modules return, by path, and of what they are given, by ``PATH.input``.
    """

    program: ExportedProgram
    parameters: dict[str, Axes] = field(default_factory=dict)
    summed: set[Owner] = field(default_factory=set)
    readers: list[tuple[Node, int, Axis]] = field(default_factory=list)
    scored: list[Axis] = field(default_factory=list)
    layers: dict[str, Axes] = field(default_factory=dict)


def broadcast(values: list[Axes], shape: Sequence[int]) -> Axes:
    """One axis after the other, from the last: where several have units they are the same."""
    out: list[Axis] = []
    for place in range(1, len(shape) + 1):
        held = [v[-place] for v in values if len(v) >= place and size(v[-place]) > 1]
        for other in held[1:]:
            unify(held[0], other)
        out.append(plain(held[0]) if held else ())
    return tuple(reversed(out))


def plain(axis: Axis) -> Axis:
    """The axis as that of an activation, which no parameter owns."""
    return tuple(place._replace(owner=None) for place in axis)


def shape_of(node: Node) -> tuple[int, ...]:
    """Of a node's tensor; empty where it is none."""
    val = node.meta.get("val")
    return tuple(int(n) for n in val.shape) if isinstance(val, Tensor) else ()


def unknown(val: Any) -> Value:
    """Axes that are held as they are, for what is not followed."""
    if isinstance(val, Tensor):
        return tuple(fresh(n, fixed=True) for n in val.shape)
    if isinstance(val, Sequence):
        return Several(unknown(one) for one in val)
    return None


class Call:
    """One operation: its arguments, with the axes of those that are tensors."""

    def __init__(self, node: Node, values: dict[Node, Value], found: Followed) -> None:
        self.node, self.values, self.found = node, values, found

    def axes(self, place: int) -> Axes:
        """Of the tensor at that place among the arguments."""
        value = self.values[self.node.args[place]]  # pyright: ignore[reportArgumentType]
        assert isinstance(value, tuple)
        return value

    def arg(self, place: int, default: Any = None) -> Any:
        """The argument at that place."""
        return self.node.args[place] if len(self.node.args) > place else default

    def given(self, place: int) -> bool:
        """Whether there is a tensor at that place."""
        return isinstance(self.arg(place), Node)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first output."""
        val = self.node.meta["val"]
        return tuple(int(n) for n in (val if isinstance(val, Tensor) else val[0]).shape)

    def dim(self, number: int, place: int = 0) -> int:
        """A dimension counted from the front."""
        return number % len(self.axes(place))

    def contract(self, x: int, x_dim: int, w: int, w_dim: int) -> None:
        """Units along ``x_dim`` of one argument meet those along ``w_dim`` of another, and are added up."""
        units, weights = self.axes(x)[x_dim], self.axes(w)[w_dim]
        owners = {place.owner for place in weights if place.owner is not None}
        self.meet(units, weights, owners, self.node.args[x], x_dim)

    def meet(self, units: Axis, weights: Axis, owners: set[Owner], node: Any, dim: int) -> None:
        """The same, of axes: ``units`` stand at ``dim`` of ``node``, ``weights`` on dimensions of parameters."""
        unify(units, weights)
        self.found.readers.append((node, dim, units))
        self.found.summed |= owners
        if not owners:
            self.found.scored.append(units)


def _convolution(call: Call) -> Axes:
    x, w, groups, transposed = call.axes(0), call.axes(1), call.arg(8, 1), call.arg(6, False)
    owners = {place.owner for axis in w[:2] for place in axis if place.owner is not None}
    inner, outer = (0, 1) if transposed else (1, 0)
    for axis in w[2:]:
        fix(axis)
    if groups == 1:
        call.meet(x[1], w[inner], {o for o in owners if o[1] == inner}, call.node.args[0], 1)
        out = plain(w[outer])
    elif transposed:
        fix(x[1], "a transposed convolution in groups")
        fix(w[0])
        fix(w[1])
        out = fresh(call.shape[1], fixed=True)
    else:
        each = size(x[1]) // groups
        group = Factor(groups)
        block = fresh(each)
        unify(x[1], (*_of(group), *block))
        produced = call.shape[1] // groups
        made = fresh(produced)
        unify(w[0], (*_of(group), *made))
        if each > 1:
            call.meet(block, w[1], {o for o in owners if o[1] == 1}, call.node.args[0], 1)
        out = plain(w[0])
    if call.given(2):
        unify(out, call.axes(2)[0])
    return (x[0], out, *(fresh(n, fixed=True) for n in call.shape[2:]))


def _of(factor: Factor) -> Axis:
    return () if factor.size == 1 else (Place(factor),)


def _addmm(call: Call) -> Axes:
    call.contract(1, 1, 2, 0)
    out = (call.axes(1)[0], plain(call.axes(2)[1]))
    return broadcast([out, call.axes(0)], call.shape)


def _mm(call: Call) -> Axes:
    call.contract(0, len(call.axes(0)) - 1, 1, max(0, len(call.axes(1)) - 2))
    batch = broadcast([call.axes(0)[:-2], call.axes(1)[:-2]], call.shape[:-2]) if len(call.axes(1)) > 2 else ()
    rows = call.axes(0)[-2:-1] if len(call.axes(0)) > 1 else ()
    columns = (plain(call.axes(1)[-1]),) if len(call.axes(1)) > 1 else ()
    return (*(batch or call.axes(0)[:-2]), *rows, *columns)


def _linear(call: Call) -> Axes:
    x, w = call.axes(0), call.axes(1)
    call.contract(0, len(x) - 1, 1, 1)
    if call.given(2):
        unify(w[0], call.axes(2)[0])
    return (*x[:-1], plain(w[0]))


def _attention(call: Call) -> Value:
    query, key, value = (call.axes(place) for place in range(3))
    call.contract(0, len(query) - 1, 1, len(key) - 1)
    lead = broadcast([query[:-2], key[:-2], value[:-2]], call.shape[:-2])
    out = (*lead, query[-2], plain(value[-1]))
    val = call.node.meta["val"]
    return out if isinstance(val, Tensor) else Several([out, *(unknown(v) for v in val[1:])])


def _batch_norm(call: Call) -> Value:
    x = call.axes(0)
    for place in range(1, 5):
        if call.given(place):
            unify(x[1], call.axes(place)[0])
    return Several([x, *(unknown(v) for v in call.node.meta["val"][1:])])


def _layer_norm(call: Call) -> Value:
    x = call.axes(0)
    for place in (2, 3):
        if call.given(place):
            weight = call.axes(place)
            for mine, theirs in zip(x[-len(weight) :], weight, strict=True):
                unify(mine, theirs)
    return Several([x, *(unknown(v) for v in call.node.meta["val"][1:])])


def _group_norm(call: Call) -> Value:
    x, groups = call.axes(0), call.arg(6)
    unify(x[1], (*_of(Factor(groups)), *fresh(size(x[1]) // groups)))
    for place in (1, 2):
        if call.given(place):
            unify(x[1], call.axes(place)[0])
    return Several([x, *(unknown(v) for v in call.node.meta["val"][1:])])


def _reduced(call: Call) -> Value:
    asked = call.arg(1)
    dims = range(len(call.axes(0))) if asked in (None, []) else [asked] if isinstance(asked, int) else asked
    gone = {call.dim(d) for d in dims}
    keep = len(call.shape) == len(call.axes(0))
    remaining = [() if d in gone else axis for d, axis in enumerate(call.axes(0)) if keep or d not in gone]
    val = call.node.meta["val"]
    return tuple(remaining) if isinstance(val, Tensor) else Several(tuple(remaining) for _ in val)


def _pooled(call: Call) -> Value:
    x, val = call.axes(0), call.node.meta["val"]
    spatial = len(call.shape) - 2
    out = (*x[:2], *(fresh(n, fixed=True) for n in call.shape[-spatial:]))
    return out if isinstance(val, Tensor) else Several([out, *(unknown(v) for v in val[1:])])


def _view(call: Call) -> Axes:
    """Factors in order are dealt out to the new axes."""
    places = [place for axis in call.axes(0) for place in expanded(axis) if place.factor.size > 1]
    out: list[Axis] = []
    for n in call.shape:
        axis: list[Any] = []
        while size(tuple(axis)) < n:
            place = places.pop(0)
            left = n // size(tuple(axis))
            if left % place.factor.size == 0:
                axis.append(place)
                continue
            if place.factor.size % left == 0:
                unify((place,), (*_of(Factor(left)), *fresh(place.factor.size // left)))
            if not units.root(place.factor).product:
                for axis_ in call.axes(0):
                    fix(axis_, "its units are taken apart")
                return tuple(fresh(m, fixed=True) for m in call.shape)
            places[:0] = expanded((place,))
        out.append(tuple(axis))
    return tuple(out)


def _permuted(call: Call) -> Axes:
    return tuple(call.axes(0)[d] for d in call.arg(1))


def _transposed(call: Call) -> Axes:
    axes = list(call.axes(0))
    one, other = (call.dim(call.arg(1)), call.dim(call.arg(2))) if len(call.node.args) > 1 else (0, len(axes) - 1)
    axes[one], axes[other] = axes[other], axes[one]
    return tuple(axes)


def _unsqueezed(call: Call) -> Axes:
    axes = list(call.axes(0))
    axes.insert(call.arg(1) % (len(axes) + 1), ())
    return tuple(axes)


def _squeezed(call: Call) -> Axes:
    asked = call.arg(1)
    dims = range(len(call.axes(0))) if asked is None else [asked] if isinstance(asked, int) else asked
    gone = {call.dim(d) for d in dims if size(call.axes(0)[call.dim(d)]) == 1}
    return tuple(axis for d, axis in enumerate(call.axes(0)) if d not in gone)


def _selected(call: Call) -> Axes:
    dim = call.dim(call.arg(1))
    fix(call.axes(0)[dim], "one of its units is taken by its place")
    return tuple(axis for d, axis in enumerate(call.axes(0)) if d != dim)


def _sliced(call: Call) -> Axes:
    """A part of an axis, where it ends at the borders of what the axis is made of; elsewhere the axis is held."""
    dim = call.dim(call.arg(1, 0))
    axis, n = call.axes(0)[dim], call.shape[dim]
    if n == size(axis):
        return call.axes(0)
    start, step = call.arg(2, 0) or 0, call.arg(4, 1)
    part = _part(axis, start % max(1, size(axis)), n) if step == 1 else None
    if part is None:
        fix(axis, "a part of its units is taken")
        part = fresh(n, fixed=True)
    return tuple(part if d == dim else held for d, held in enumerate(call.axes(0)))


def _part(axis: Axis, start: int, n: int) -> Axis | None:
    places = expanded(axis)
    length = size(axis)
    if len(places) == 1 and not places[0].factor.fixed and not places[0].factor.concatenation and length % n == 0:
        if start % n:
            return None
        places[0].factor.product = [Factor(length // n, fixed=True), Factor(n)]
        places = expanded(axis)
    if len(places) > 1 and places[0].factor.fixed and length // places[0].factor.size == n and start % n == 0:
        return places[1:]
    if len(places) == 1:
        place = 0
        for inner in places[0].factor.concatenation:
            if place == start and size(inner) == n:
                return inner
            place += size(inner)
    return None


def _split(call: Call) -> Value:
    dim = call.dim(call.arg(2, 0))
    axis, parts, start = call.axes(0)[dim], [], 0
    for val in call.node.meta["val"]:
        n = int(val.shape[dim])
        part = _part(axis, start, n)
        if part is None:
            fix(axis, "it is split")
            part = fresh(n, fixed=True)
        start += n
        parts.append(tuple(part if d == dim else held for d, held in enumerate(call.axes(0))))
    return Several(parts)


def _concatenated(call: Call) -> Axes:
    held = [value for node in call.arg(0) if isinstance(value := call.values[node], tuple)]
    dim = call.arg(1, 0) % len(call.shape)
    out: list[Axis] = []
    for d, n in enumerate(call.shape):
        axes = [value[d] for value in held]
        if d != dim:
            out += broadcast([(axis,) for axis in axes], (n,))
        elif all(map(_held, axes)):
            out.append(fresh(n, fixed=True))
        else:
            out.append(concatenated(axes))
    return tuple(out)


def _held(axis: Axis) -> bool:
    return all(leaf.fixed for leaf in leaves(axis))


def _padded(call: Call) -> Axes:
    """Zeros before and after are units of their own."""
    pads, axes = call.arg(1), list(call.axes(0))
    for back in range(len(pads) // 2):
        before, after = pads[2 * back], pads[2 * back + 1]
        dim = len(axes) - 1 - back
        if not (before or after):
            continue
        if _held(axes[dim]):
            axes[dim] = fresh(call.shape[dim], fixed=True)
        else:
            parts = [fresh(before) if before else None, axes[dim], fresh(after) if after else None]
            axes[dim] = concatenated([part for part in parts if part is not None])
    return tuple(axes)


def _expanded(call: Call) -> Axes:
    axes, shape = call.axes(0), call.shape
    axes = (*[()] * (len(shape) - len(axes)), *axes)
    return tuple(
        fresh(n, fixed=True) if n > 1 and size(axis) == 1 else axis for n, axis in zip(shape, axes, strict=True)
    )


def _embedding(call: Call) -> Axes:
    fix(call.axes(0)[0])
    return (*call.axes(1), plain(call.axes(0)[1]))


RULES: dict[str, Callable[[Call], Value]] = {
    "convolution": _convolution, "addmm": _addmm, "mm": _mm, "bmm": _mm, "matmul": _mm, "mv": _mm, "linear": _linear,
    "_scaled_dot_product_flash_attention_for_cpu": _attention, "scaled_dot_product_attention": _attention,
    "_scaled_dot_product_flash_attention": _attention, "_scaled_dot_product_efficient_attention": _attention,
    "_native_batch_norm_legit_no_training": _batch_norm, "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm, "mean": _reduced, "sum": _reduced, "amax": _reduced, "amin": _reduced,
    "var": _reduced, "max": _reduced, "any": _reduced, "all": _reduced,
    "max_pool2d_with_indices": _pooled, "avg_pool2d": _pooled,
    "_adaptive_avg_pool2d": _pooled, "avg_pool1d": _pooled, "upsample_bilinear2d": _pooled,
    "upsample_nearest2d": _pooled, "_adaptive_avg_pool3d": _pooled, "avg_pool3d": _pooled,
    "max_pool3d_with_indices": _pooled, "view": _view, "_unsafe_view": _view, "reshape": _view, "permute": _permuted,
    "transpose": _transposed, "t": _transposed, "unsqueeze": _unsqueezed, "squeeze": _squeezed, "select": _selected,
    "slice": _sliced, "split_with_sizes": _split, "split": _split, "cat": _concatenated, "constant_pad_nd": _padded,
    "expand": _expanded, "embedding": _embedding,
}  # fmt: skip
