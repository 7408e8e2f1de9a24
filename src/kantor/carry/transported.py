"""A model with a teacher's weights, carried through transport between their units."""

import copy
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import get_args

import torch
from torch import Tensor

from kantor.carry.carried import Carried, GroupUnits, by_transport, carry
from kantor.carry.grouping import GroupingPlan
from kantor.core.errors import ConfigError, suggest
from kantor.data import Augment, DataSet, Loader
from kantor.models import Model
from kantor.models.weights import classifier_path


def transported(
    teacher: Model,
    student: Model,
    data: DataSet | Iterable[Tensor],
    *,
    samples: int = 1000,
    seed: int = 0,
    plan: GroupingPlan = "optimal",
) -> Carried:
    """Start ``student`` from the weights of ``teacher``, another network of its make with other widths or more blocks.

    Units of the teacher that say the same are put together by transport with equal masses, and what each passed on is
    passed on by their average. No label is read. A classifier of the same classes is carried too; of other classes it
    stays as it was drawn. What normalises the teacher's inputs normalises the student's.

    Save the student, and a study starts from it: ``student.save("start.safetensors")``, then ``kantor distill
    --student NAME --start NAME:start.safetensors``.

    Args:
        teacher: trained; left as it is.
        student: its weights are overwritten.
        data: whose training samples tell which units say the same; or batches of inputs, ``[batch, ...]``.
        samples: how many are looked at, at most.
        seed: of the search for groups.
        plan: ``optimal``; or a control that never looks at what units do: ``identity`` puts neighbours together,
            ``random`` any.

    Returns:
        What became of which units; print it.

    Raises:
        ConfigError: the networks take other inputs, cannot be traced or are not of one make; ``samples`` is below 2; an
            unknown plan.
        DataError: there are no samples.
    """
    if plan not in get_args(GroupingPlan):
        raise ConfigError(f"transported: unknown plan {plan!r}. {suggest(plan, get_args(GroupingPlan))}")
    return carry_model(teacher, student, data, samples, by_transport(seed, plan))


def carry_model(
    teacher: Model, student: Model, data: DataSet | Iterable[Tensor], samples: int, group: GroupUnits
) -> Carried:
    """:func:`kantor.carry.carried.carry` of two models: what normalises the teacher's inputs normalises the student's.

    Args:
        teacher, student, data, samples: see :func:`transported`.
        group: how units are grouped.

    Raises:
        ConfigError, DataError: see :func:`transported`.
    """
    if samples < 2:
        raise ConfigError(f"samples is {samples}: give two or more, on which units can be compared.")
    if teacher.input_shape != student.input_shape or teacher.size != student.size:
        raise ConfigError(
            f"{teacher.spec} takes inputs of {teacher.input_shape}, and {student.spec} of {student.input_shape}: "
            "weights are carried between networks that see the same."
        )
    batches = list(batches_of(teacher, data, samples))
    same = teacher.class_names == student.class_names and teacher.num_classes == student.num_classes
    head = None if same else classifier_path(student.network)
    found = carry(teacher.network, student.network, batches, new=[] if head is None else [head], group=group)
    student.normalise = copy.deepcopy(teacher.normalise)  # a module of its own: the two may train side by side
    return found


def batches_of(teacher: Model, data: DataSet | Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """What the teacher's network is given, batch by batch: its inputs, normalised, on its device.

    Raises:
        ConfigError: an input is not one tensor.
    """
    device = next(teacher.network.parameters()).device
    for batch in _inputs(data, samples):
        yield teacher.normalise(batch.to(device))


def _inputs(data: DataSet | Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    if not isinstance(data, DataSet):
        for batch in data:
            if not isinstance(batch, Tensor):
                raise ConfigError(f"A batch is a {type(batch).__name__}: give batches of inputs alone, each a tensor.")
            yield batch
        return
    size = min(100, len(data.train), samples)
    loader = Loader(data.train, size, seed=0, augment=Augment.named("none"))
    for batch in islice(loader.epoch(0), samples // size):
        inputs = batch.inputs["student"]
        if not isinstance(inputs, torch.Tensor):
            raise ConfigError(
                f"{data.name} has inputs of several parts; weights are carried where an input is one tensor."
            )
        yield inputs
