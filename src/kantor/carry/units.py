"""Units of a network, as axes of its tensors: which axes hold the same units, and how they are put together.

An axis is a product of factors, the outermost first: the axis that a flattening makes is channels times positions; that
of a fused projection is three times heads times what is in a head. A factor may turn out to be a product itself, or a
concatenation, as where a shortcut pads its channels with zeros.
"""

from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

Owner = tuple[str, int]
"""A parameter's name and one of its dimensions."""


@dataclass(eq=False)
class Factor:
    """``size`` units that stand on some axis; another name for those of ``same``, where that is known."""

    size: int
    fixed: bool = False
    """Not to be mixed: pixels, tokens, classes, and what could not be followed."""
    why: str = ""
    """Why it is fixed, where that is a limit of this code."""
    same: "Factor | None" = None
    product: "list[Factor]" = field(default_factory=list)
    concatenation: "list[Axis]" = field(default_factory=list)


class Place(NamedTuple):
    """A factor on an axis, and the parameter's dimension that it came from, if any."""

    factor: Factor
    owner: Owner | None = None


Axis = tuple[Place, ...]
"""Factors, the outermost first; none for an axis of size one."""


def fresh(size: int, owner: Owner | None = None, *, fixed: bool = False) -> Axis:
    """An axis of units of their own."""
    return () if size == 1 and owner is None else (Place(Factor(size, fixed), owner),)


def root(factor: Factor) -> Factor:
    """What stands for all factors that are the same."""
    while factor.same is not None:
        factor = factor.same
    return factor


def expanded(axis: Axis) -> Axis:
    """The axis with its products taken apart."""
    places: list[Place] = []
    for factor, owner in axis:
        inner = root(factor)
        if inner.product:
            places += expanded(tuple(Place(part, owner) for part in inner.product))
        elif inner.size > 1 or owner is not None:
            places.append(Place(inner, owner))
    return tuple(places)


def size(axis: Axis) -> int:
    """How many units an axis has."""
    return prod(root(place.factor).size for place in axis)


def fix(axis: Axis, why: str = "") -> None:
    """Hold the axis as it is."""
    for factor, _ in expanded(axis):
        factor.fixed = True
        factor.why = factor.why or why
        for part in factor.concatenation:
            fix(part, why)


def unify(one: Axis, other: Axis) -> None:
    """Both axes hold the same units in the same order."""
    left, right = list(_sized(one)), list(_sized(other))
    while left and right:
        a, b = root(left[0].factor), root(right[0].factor)
        if a.size == b.size:
            _same(a, b)
            left.pop(0)
            right.pop(0)
            continue
        if a.size < b.size:
            left, right, a, b = right, left, b, a
        if a.size % b.size or not _split(a, b.size):
            fix(tuple(left + right), "its units are grouped in two ways")
            return
        left = [*_sized((left[0],)), *left[1:]]
    fix(tuple(left + right), "its units are grouped in two ways")


def _sized(axis: Axis) -> Axis:
    return tuple(place for place in expanded(axis) if place.factor.size > 1)


def _split(factor: Factor, outer: int) -> bool:
    """Make a factor ``outer`` times the rest; whether that can be."""
    if factor.concatenation:
        return False
    factor.product = [
        Factor(outer, factor.fixed, factor.why),
        Factor(factor.size // outer, factor.fixed, factor.why),
    ]
    return True


def _same(a: Factor, b: Factor) -> None:
    if a is b:
        return
    if a.concatenation and b.concatenation:
        _align(a, b)
    if b.concatenation:
        a, b = b, a
    b.same = a
    if b.fixed and not a.fixed:
        fix((Place(a),), b.why)
    elif a.fixed:
        fix((Place(a),), a.why)


def _align(a: Factor, b: Factor) -> None:
    """Cut two concatenations at the same places, and unify what lies between."""
    left, right, cut = list(a.concatenation), list(b.concatenation), []
    while left and right:
        if size(left[0]) < size(right[0]):
            left, right = right, left
        if size(left[0]) > size(right[0]):
            pieces = _cut(left[0], size(right[0]))
            if pieces is None:
                for rest in (*left, *right):
                    fix(rest, "its units are concatenated in two ways")
                break
            left[:1] = pieces
        unify(left[0], right[0])
        cut.append(left.pop(0))
        right.pop(0)
    a.concatenation = [*cut, *left]


def _cut(axis: Axis, first: int) -> list[Axis] | None:
    places = expanded(axis)
    if len(places) != 1 or places[0].factor.concatenation or places[0].factor.fixed:
        return None
    factor = places[0].factor
    factor.concatenation = [fresh(first), fresh(factor.size - first)]
    return list(factor.concatenation)


def concatenated(parts: list[Axis]) -> Axis:
    """One axis after the other. What comes of parameters keeps no owner."""
    flat = [part for part in parts if size(part) > 0]
    return flat[0] if len(flat) == 1 else (Place(Factor(sum(map(size, flat)), concatenation=flat)),)


def leaves(axis: Axis) -> list[Factor]:
    """Every factor that is no product and no concatenation, each once."""
    found: dict[Factor, None] = {}
    for factor, _ in expanded(axis):
        for inner in [leaf for part in factor.concatenation for leaf in leaves(part)] or [factor]:
            if inner.size > 1:
                found[inner] = None
    return list(found)
