"""Carry a teacher's weights into a smaller or larger student of its make, through transport between their units."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kantor.carry.blocks import counterparts, renamed
from kantor.carry.grouping import Grouping, GroupingPlan, grouped
from kantor.carry.observe import observed
from kantor.carry.operations import Followed
from kantor.carry.plans import LayerPlans, plan_of
from kantor.carry.trace import follow
from kantor.carry.units import Axis, Factor, expanded, leaves, size
from kantor.core.errors import ConfigError, DataError
from kantor.core.modes import modes_kept


@dataclass(frozen=True)
class Group:
    """Units that became others.

    Attributes:
        where: a parameter whose outputs they are.
        units, made: how many there were, and how many there are.
        cosine: mean cosine of the teacher's units with the student's that take their places.
        chosen: they were chosen among the units, and the others left out.
    """

    where: str
    units: int
    made: int
    cosine: float
    chosen: bool = False

    def __str__(self) -> str:
        if self.chosen:
            return f"{self.where}: {self.made} of {self.units} units"
        how = "each in its place" if self.units == self.made else f"{100 * self.cosine:.0f} % alike"
        return f"{self.where}: {self.units} units to {self.made}, {how}"


@dataclass(frozen=True)
class Carried:
    """What a student was given.

    Attributes:
        groups: of units, in the order of the network.
        blocks: of the student, by name, with those of the teacher that they come from, where the depths differ.
        new: parameters that stay as they were drawn: those of a classifier of other classes.
        plans: by layer, the plan between the teacher's units and the student's in the layer of the same name.
    """

    groups: list[Group]
    blocks: dict[str, str]
    new: list[str]
    plans: LayerPlans

    def __str__(self) -> str:
        lines = [str(group) for group in self.groups]
        lines += [f"{mine} from {theirs}" for mine, theirs in self.blocks.items() if mine != theirs]
        return "\n".join([*lines, f"new: {', '.join(self.new) or 'nothing'}"])


GroupUnits = Callable[[Followed, Mapping[Factor, int], Mapping[Factor, Tensor]], dict[Factor, Grouping]]
"""Which units become one: of a teacher that was followed, how many there are to be of each factor, and the covariance
of its units."""


def by_transport(seed: int = 0, plan: GroupingPlan = "optimal") -> GroupUnits:
    """Units that say the same become one.

    Args:
        seed: of the search for groups.
        plan: ``identity`` and ``random`` are controls.
    """

    def group(_: Followed, made: Mapping[Factor, int], covariances: Mapping[Factor, Tensor]) -> dict[Factor, Grouping]:
        return {factor: grouped(covariances[factor], number, seed, plan) for factor, number in made.items()}

    return group


@torch.no_grad()
def carry(
    teacher: nn.Module,
    student: nn.Module,
    batches: Iterable[Tensor],
    *,
    new: Sequence[str] = (),
    group: GroupUnits | None = None,
) -> Carried:
    """Give ``student`` the weights of ``teacher``, carried through a plan between their units, in place.

    A student's unit is the average of a group of the teacher's that say the same on the batches, and passes on what
    all of them passed on: rows of a weight are averaged, columns summed. Running statistics are measured again.

    Args:
        teacher: a trained network.
        student: of the same make, with other widths, or with fewer blocks beside shortcuts.
        batches: inputs of both, without labels, ``[batch, ...]``; all of one size.
        new: parameters of the student that stay as they are, with all below them, as ``head``.
        group: how units are grouped; by :func:`by_transport` if left out.

    Raises:
        ConfigError: a network cannot be traced, or the two are not of one make; names what has no counterpart.
        DataError: there are no batches.
    """
    held = list(batches)
    if not held:
        raise DataError("There is no data on which units can be compared.")
    held = [batch for batch in held if batch.shape == held[0].shape]
    theirs, mine = follow(teacher, held[0], "The teacher"), follow(student, held[0], "The student")
    fresh = [name for name in mine.parameters if any(name == path or name.startswith(f"{path}.") for path in new)]
    names, blocks = counterparts(student, teacher, [name for name in mine.parameters if name not in fresh])
    pairs = _Pairs(names, mine, theirs)
    moments = observed(teacher, theirs, held)
    covariances = {
        factor: moments[factor].covariance() if factor in moments else torch.eye(factor.size, dtype=torch.float64)
        for factor in pairs.made
    }
    groupings = (group or by_transport())(theirs, pairs.made, covariances)
    tensors = dict(teacher.named_parameters(remove_duplicate=False)) | dict(teacher.named_buffers())
    own = dict(student.named_parameters(remove_duplicate=False)) | dict(student.named_buffers())
    scored = {factor for axis in theirs.scored for factor in leaves(axis) if not factor.fixed}
    for name, source in names.items():
        axes = theirs.parameters[source]
        value = tensors[source].double()
        for dim, axis in enumerate(axes):
            summed = (source, dim) in theirs.summed
            value = _applied(value, dim, axis, groupings, summed=summed, scored=scored)
        own[name].copy_(value.to(own[name].dtype))
    if blocks or any(made < factor.size for factor, made in pairs.made.items()):
        _measure(student, held)  # the mean of several units has a deviation of its own
    plans = {}
    for layer in mine.layers:
        # A block that comes from another has no layer of its own name in the teacher.
        axes = theirs.layers.get(layer) if renamed(layer, blocks) == layer else None
        if axes is not None and (of_layer := plan_of(axes, groupings)) is not None:
            plans[layer] = of_layer
    return Carried(_groups(pairs, groupings, names), blocks, fresh, LayerPlans(plans))


class _Pairs:
    """How many units the student has for each of the teacher's factors."""

    def __init__(self, names: dict[str, str], mine: Followed, theirs: Followed) -> None:
        self.made: dict[Factor, int] = {}
        self.seen: dict[Factor, tuple[str, int]] = {}
        self._partner: dict[Factor, Factor] = {}
        for name, source in names.items():
            ours, other = mine.parameters[name], theirs.parameters[source]
            if len(ours) != len(other):
                raise ConfigError(f"{name} has {len(ours)} dimensions in the student, and {len(other)} in the teacher.")
            for dim, (axis, against) in enumerate(zip(ours, other, strict=True)):
                self._pair(name, axis, against)
                if (source, dim) not in theirs.summed:
                    for factor in leaves(against):
                        self.seen.setdefault(factor, (source, dim))

    def _pair(self, name: str, ours: Axis, theirs: Axis) -> None:
        left = [place.factor for place in expanded(ours) if place.factor.size > 1]
        right = [place.factor for place in expanded(theirs) if place.factor.size > 1]
        if not left and len(right) == 1 and not right[0].concatenation:
            left = [Factor(1, fixed=right[0].fixed)]  # one unit in the place of them all
        if len(left) != len(right):
            raise _unlike(name, ours, theirs)
        for a, b in zip(left, right, strict=True):
            if len(a.concatenation) != len(b.concatenation):
                raise _unlike(name, ours, theirs)
            for inner, outer in zip(a.concatenation, b.concatenation, strict=True):
                self._pair(name, inner, outer)
            if not b.concatenation:
                self._leaf(name, a, b, ours, theirs)

    def _leaf(self, name: str, a: Factor, b: Factor, ours: Axis, theirs: Axis) -> None:
        if (a.fixed or b.fixed) and a.size != b.size:
            raise _unlike(name, ours, theirs, a.why or b.why)
        if self._partner.setdefault(a, b) is not b:
            raise ConfigError(
                f"{name}: its units stand for different ones of the teacher's, since the student lacks layers between "
                "them. Depth can be carried where blocks stand beside a shortcut; give the student as many layers."
            )
        if not b.fixed and self.made.setdefault(b, a.size) != a.size:
            raise _unlike(name, ours, theirs)


def _unlike(name: str, ours: Axis, theirs: Axis, why: str = "") -> ConfigError:
    sides = " and ".join("x".join(str(place.factor.size) for place in expanded(axis)) or "1" for axis in (ours, theirs))
    return ConfigError(
        f"{name} cannot be carried: it has {sides} units in student and teacher{f' ({why})' if why else ''}. Weights "
        "are carried between networks of one make and other widths; start this student from scratch."
    )


def _applied(
    value: Tensor, dim: int, axis: Axis, groupings: dict[Factor, Grouping], *, summed: bool, scored: set[Factor]
) -> Tensor:
    """The tensor with the units along ``dim`` become the student's."""
    factors = [place.factor for place in expanded(axis)]
    if all(factor.fixed for factor in leaves(axis)):
        return value
    split = value.movedim(dim, 0)
    rest = split.shape[1:]
    split = split.reshape(*(factor.size for factor in factors), -1)
    for number, factor in enumerate(factors):
        if factor.concatenation:
            in_front = split.movedim(number, 0)
            sizes = [size(part) for part in factor.concatenation]
            parts = [
                _applied(piece, 0, part, groupings, summed=summed, scored=scored)
                for piece, part in zip(in_front.split(sizes), factor.concatenation, strict=True)
            ]
            split = torch.cat(parts).movedim(0, number)
        elif not factor.fixed and factor.size > 1:
            grouping = groupings[factor]
            matrix = grouping.summed if summed else grouping.averaged
            if factor in scored:
                # Fewer products are added up, and divided by the root of their number: what is lost is shared by both.
                lost = (matrix.shape[1] / matrix.shape[0]) ** 0.25
                if grouping.chosen:
                    lost = 1 / lost  # one product stands for itself alone, and the root is of fewer
                matrix = matrix / lost if summed else matrix * lost
            split = torch.tensordot(matrix, split.movedim(number, 0), 1).movedim(0, number)
    return split.reshape(-1, *rest).movedim(0, dim)


def _measure(student: nn.Module, batches: Sequence[Tensor]) -> None:
    """Running statistics of batch normalisation, as means over all batches."""
    norms = [module for module in student.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    norms = [module for module in norms if module.track_running_stats]
    if not norms:
        return
    momenta = [module.momentum for module in norms]
    try:
        with modes_kept(student):
            student.eval()
            for module in norms:
                module.reset_running_stats()
                module.momentum = None
                module.train()
            for batch in batches:
                student(batch)
    finally:
        for module, momentum in zip(norms, momenta, strict=True):
            module.momentum = momentum


def _groups(pairs: _Pairs, groupings: dict[Factor, Grouping], names: dict[str, str]) -> list[Group]:
    back = {source: name for name, source in names.items()}
    return [
        Group(back[pairs.seen[factor][0]], factor.size, pairs.made[factor], grouping.cosine, grouping.chosen)
        for factor, grouping in groupings.items()
        if factor in pairs.seen
    ]
