"""A smaller network that keeps some of a teacher's units and leaves the others out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from kantor.carry.carried import Carried, GroupUnits
from kantor.carry.gates import learned_scores
from kantor.carry.grouping import Grouping, grouped
from kantor.carry.operations import Followed
from kantor.carry.transported import batches_of, carry_model
from kantor.carry.units import Axis, Factor, expanded, leaves, size
from kantor.core.errors import ConfigError, suggest
from kantor.data import DataSet
from kantor.models import Model

Choice = Literal["topk", "magnitude", "random"]


def pruned(
    teacher: Model,
    student: Model,
    data: DataSet | Iterable[Tensor],
    *,
    by: Choice = "topk",
    samples: int = 1000,
    steps: int = 300,
    seed: int = 0,
    numbers: bool | None = None,
) -> Carried:
    """Start ``student`` from the weights of those units of ``teacher`` that are worth keeping.

    The student is of the teacher's make, with fewer units. Where :func:`kantor.transported` puts units together, this
    leaves units out: which of them, gates say, that are learned through a soft top-k (:func:`kantor.ot.topk`) while the
    gated network is held to the whole one's logits. No label is read. Running statistics are measured again.

    Args:
        teacher: trained; left as it is.
        student: its weights are overwritten.
        data: whose training samples the gates are learned on; or batches of inputs, ``[batch, ...]``.
        by: ``topk``, the gates; ``magnitude``, the norm of the weights that read a unit; or ``random``.
        samples: how many are looked at, at most.
        steps: of learning the gates.
        seed: of batches, or of what is drawn at random.
        numbers: the teacher says numbers, or labels that do not exclude each other, and no classes; it is held by their
            squared distance then. If left out, where it says a single one.

    Returns:
        How many units stayed, of which; print it.

    Raises:
        ConfigError: as for :func:`kantor.transported`; an unknown choice; ``steps`` is below 1; the gates have no
            effect.
        DataError: there are no samples.
    """
    if by not in get_args(Choice):
        raise ConfigError(f"pruned: unknown choice {by!r}. {suggest(str(by), get_args(Choice))}")
    if not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"steps is {steps}: give 1 or more, a whole number.")
    if samples < 2:
        raise ConfigError(f"samples is {samples}: give two or more, on which units can be compared.")
    numbers = teacher.num_classes == 1 if numbers is None else numbers
    data = data if isinstance(data, DataSet) else list(data)
    batches = list(batches_of(teacher, data, samples)) if by == "topk" else []
    return carry_model(teacher, student, data, samples, _choosing(teacher, batches, by, steps, seed, numbers))


def _choosing(
    teacher: Model, batches: Sequence[Tensor], by: Choice, steps: int, seed: int, numbers: bool
) -> GroupUnits:
    def group(
        followed: Followed, made: Mapping[Factor, int], covariances: Mapping[Factor, Tensor]
    ) -> dict[Factor, Grouping]:
        fewer = {factor: number for factor, number in made.items() if number < factor.size}
        draw = torch.Generator().manual_seed(seed)
        if by == "random":
            scores = {factor: torch.rand(factor.size, generator=draw) for factor in fewer}
        else:
            scores = _norms(followed, dict(teacher.network.named_parameters(remove_duplicate=False)), fewer)
        if by == "topk" and fewer:
            start = {factor: _standardised(score) for factor, score in scores.items()}
            scores = learned_scores(
                teacher.network, followed, fewer, batches, start, steps=steps, seed=seed, numbers=numbers
            )
        return {
            factor: Grouping.of_chosen(scores[factor].topk(number).indices.sort().values, factor.size)
            if factor in fewer
            else grouped(covariances[factor], number, seed)
            for factor, number in made.items()
        }

    return group


def _norms(
    followed: Followed, tensors: Mapping[str, Tensor], factors: Iterable[Factor]
) -> dict[Factor, Float[Tensor, " units"]]:
    """The Euclidean norm, by unit, of all weights that read it; of queries and keys, which none reads, of those that
    make them."""
    found = {factor: torch.zeros(factor.size) for factor in factors}

    def add(squares: Tensor, axis: Axis) -> None:
        """Squares ``[units, ...]`` along an axis, factor by factor."""
        factors = [place.factor for place in expanded(axis)]
        split = squares.reshape(*(factor.size for factor in factors), -1)
        for number, factor in enumerate(factors):
            along = split.movedim(number, 0).flatten(1)
            if factor.concatenation:
                sizes = [size(part) for part in factor.concatenation]
                for part, inner in zip(along.split(sizes), factor.concatenation, strict=True):
                    add(part, inner)
            elif factor in found:
                found[factor] += along.sum(1)

    scored = {factor for axis in followed.scored for factor in leaves(axis)}
    for name, axes in followed.parameters.items():
        for dim, axis in enumerate(axes):
            if name in tensors and ((name, dim) in followed.summed or scored & set(leaves(axis))):
                add(tensors[name].detach().float().cpu().square().movedim(dim, 0), axis)
    return {factor: total.sqrt() for factor, total in found.items()}


def _standardised(score: Float[Tensor, " units"]) -> Float[Tensor, " units"]:
    """With a deviation of one half, as suits a cost between anchors that are 1 apart."""
    return 0.5 * (score - score.mean()) / score.std().clamp_min(1e-12)
