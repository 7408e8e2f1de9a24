"""What step 0 says of how a student learns, where that is not the same for all of it."""

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from kantor.core.collectives import world_size
from kantor.faculty.roster import spec_of
from kantor.losses.penalty import WeightPenalty
from kantor.models import has_weights
from kantor.models.factories import given_network
from kantor.models.spec import parse
from kantor.objective import Objective
from kantor.study.settings.starting_weights import Given, inside
from kantor.study.settings.study import Study
from kantor.training.groups import learning_rate_factors


def how_it_learns(config: Study, objective: Objective, given: Given | None) -> Iterator[str]:
    """What differs between parts of the student: what is frozen, who learns how fast, who is not decayed; and where all
    students begin as one network."""
    if given is None and given_network(parse(config.student)) is not None:
        yield (
            f"Start: every student is a copy of {config.student}, with its weights; seeds differ in order and "
            "augmentation alone. Hand over a function that makes the network for other weights."
        )
    frozen = config.frozen()
    if frozen:
        held = sum(p.numel() for p in objective.student.parameters() if not p.requires_grad)
        yield f"Frozen, running statistics too: {', '.join(frozen)} ({held:,} parameters)."
    if given is not None or not has_weights(spec_of(config.student)):
        drawn = [path for path in frozen if given is None or any(inside(key, path) for key in given.new)]
        if drawn:
            yield f"Frozen at random: {', '.join(drawn)} starts from no weights, and stays as it was drawn."
    factors = {
        path: factor
        for path, factor in learning_rate_factors(objective.student, config).items()
        if not any(path == held or inside(path, held) for held in frozen)
    }
    if factors:
        yield f"Learning rate x {', x '.join(f'{factor:g} for {path}' for path, factor in factors.items())}."
    norms = [
        m for m in objective.student.modules() if isinstance(m, _BatchNorm) and not isinstance(m, nn.SyncBatchNorm)
    ]
    if world_size() > 1 and norms:
        yield (
            f"Batch norm sees each process's own share of the batch: {world_size()} processes train another student "
            "than one would. Compare it with students of as many processes."
        )
    for loss in objective.losses.values():
        if isinstance(loss, WeightPenalty) and config.weight_decay:
            yield f"Weight decay 0 in place of {config.weight_decay:g} for the student: {loss.name} holds its weights."
