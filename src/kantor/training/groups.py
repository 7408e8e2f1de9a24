"""Which parameters learn how fast: one group for the optimiser where all are alike."""

from typing import Any

from torch import nn

from kantor.capture.hooks import find, path_root
from kantor.core.errors import ConfigError
from kantor.losses.penalty import WeightPenalty
from kantor.models.weights import classifier_path
from kantor.objective import Objective
from kantor.training.config import Training

FACTOR = "factor"
"""Key of a group: its learning rate over the run's."""


def parameter_groups(objective: Objective, config: Training) -> list[dict[str, Any]]:
    """Groups of the trained parameters, with a factor of the learning rate and a weight decay each.

    A module's factor holds for all inside it; of nested ones the innermost counts, and ``head_lr`` is that of the
    classifier (the last linear layer; the last convolution where there is none) unless it is named. What a weight
    penalty holds is not decayed as well: the two would pull apart. The losses' own parameters keep the run's rate and
    decay.

    Raises:
        ConfigError: a path is unknown (says which are close), or there is no classifier to give ``head_lr`` to.
    """
    factors = learning_rate_factors(objective.student, config)
    held = any(isinstance(loss, WeightPenalty) for loss in objective.losses.values())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    student = {id(p): name for name, p in path_root(objective.student).named_parameters()}
    for parameter in objective.parameters():
        if not parameter.requires_grad:
            continue
        name = student.get(id(parameter))
        key = (1.0, config.weight_decay)
        if name is not None:
            key = (_factor(name, factors), 0.0 if held else config.weight_decay)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, FACTOR: factor} for (factor, decay), parameters in groups.items()
    ]


def learning_rate_factors(student: nn.Module, config: Training) -> dict[str, float]:
    """By module path, what multiplies the learning rate; empty where all learn alike.

    Raises:
        ConfigError: see :func:`parameter_groups`.
    """
    root = path_root(student)
    factors = config.factors()
    for path in factors:
        find(root, path)
    if config.head_lr != 1:
        head = classifier_path(root) or _last_convolution(root)
        if head is None:
            raise ConfigError("head_lr: the student has no layer that could be its classifier; use lr_factors.")
        factors = {head: config.head_lr} | factors
    return factors


def _last_convolution(network: nn.Module) -> str | None:
    """What classifies the places of a map, in a network without a linear layer."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return next((path for path, m in reversed(list(network.named_modules())) if isinstance(m, kinds)), None)


def _factor(name: str, factors: dict[str, float]) -> float:
    around = [path for path in factors if name.startswith(f"{path}.")]
    return factors[max(around, key=len)] if around else 1.0
