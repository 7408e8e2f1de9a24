"""What each of a teacher's channels is worth to the task, for ``delta``: measured at step 0, kept for every process.

The teacher may have other classes, so a linear classifier on its features is fitted to the task first, as DELTA's
authors do. All of it depends on the teacher and the data alone, and is the same for every seed.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kantor.capture import call, capture
from kantor.core.errors import ConfigError, DataError
from kantor.core.files import read_npz, write_with
from kantor.core.inputs import Inputs
from kantor.core.reading import DAMAGED
from kantor.data import Augment, DataSet, Loader
from kantor.losses import Delta
from kantor.losses.delta import loss_increases
from kantor.models import Model
from kantor.models.weights import classifier_path
from kantor.objective import Objective

Worth = dict[tuple[str, str], Float[Tensor, " channels"]]
"""By teacher and layer: by how much the task's loss grows without each channel."""

_FILE = "channel-worth.npz"
_BATCHES, _BATCH = 4, 128


def measure_worth(
    objective: Objective, models: Mapping[str, Model], data: DataSet, known: Worth, device: torch.device
) -> None:
    """Add to ``known`` what the ``delta`` terms of a checked objective want and is not there yet.

    Raises:
        ConfigError: the teacher has no classifier whose input the channels could be judged by.
    """
    for name, layers in _wanted(objective):
        missing = [layer for layer in layers if (name, layer) not in known]
        if missing and not data.train.is_classes:
            raise ConfigError(
                "delta weighs a teacher's channels by what a classifier loses without them, and here labels are no "
                "classes. Use another loss on features, such as neuron_transport."
            )
        if missing:
            seen = replace(data, train=data.train.seen_by(data.role_of(name)))
            network = _for_task(models[name], seen, device)
            paths = [f"network.{layer}" for layer in missing]
            found = loss_increases(network, paths, _batches(seen, device))
            known |= {(name, layer): worth.cpu() for layer, worth in zip(missing, found, strict=True)}


def attend(objective: Objective, known: Worth) -> None:
    """Hand the ``delta`` terms of a checked objective what they want.

    Raises:
        DataError: it is not known.
    """
    wanted = iter(_wanted(objective))
    for loss, _ in objective.transfers:
        if isinstance(loss, Delta):
            name, layers = next(wanted)
            lost = next((layer for layer in layers if (name, layer) not in known), None)
            if lost is not None:
                raise DataError(f"The run's {_FILE} lacks what {name}'s {lost} is worth. {DAMAGED}")
            loss.attend([known[name, layer] for layer in layers])


def write_worth(run: Path, known: Worth) -> None:
    """Keep it in the run's folder."""
    if known:
        arrays: dict[str, Any] = {f"{name}/{layer}": worth.numpy() for (name, layer), worth in known.items()}
        write_with(run / _FILE, lambda file: np.savez(file, **arrays))


def read_worth(run: Path) -> Worth:
    """As it was kept; empty where the study needs none.

    Raises:
        DataError: it is damaged.
    """
    if not (run / _FILE).exists():
        return {}
    worth: Worth = {}
    for key, array in read_npz(run / _FILE, DAMAGED).items():
        name, _, layer = key.rpartition("/")
        if not name or array.ndim != 1 or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise DataError(f"{run / _FILE} holds no channels' worth: {key!r} is of another kind. {DAMAGED}")
        worth[name, layer] = torch.from_numpy(array)
    return worth


def _wanted(objective: Objective) -> Iterator[tuple[str, tuple[str, ...]]]:
    return ((bound.teacher, bound.teacher_layers) for loss, bound in objective.transfers if isinstance(loss, Delta))


def _batches(data: DataSet, device: torch.device) -> Iterator[tuple[Inputs, Tensor]]:
    size = min(_BATCH, len(data.train))
    loader = Loader(data.train, size, seed=0, augment=Augment.named("none"))
    for _, batch in zip(range(_BATCHES), loader.epoch(0), strict=False):
        there = batch.to(device)
        assert there.targets is not None
        yield there.inputs["teacher"], there.targets


def _for_task(teacher: Model, data: DataSet, device: torch.device) -> Model:
    """A copy of the teacher with a classifier for the data's classes; its own where it has the same ones."""
    model = copy.deepcopy(teacher).to(device).eval()
    if model.class_names == data.classes:
        return model
    path = classifier_path(model.network)
    if path is None:
        raise ConfigError(f"delta: {teacher.name} has no nn.Linear that could be its classifier.")
    features, targets = _features(model, _batches(data, device))
    parent, _, last = path.rpartition(".")
    setattr(model.network.get_submodule(parent), last, _fitted(features, targets, len(data.classes)))
    return model


@torch.no_grad()
def _features(model: Model, batches: Iterable[tuple[Inputs, Tensor]]) -> tuple[Tensor, Tensor]:
    features, targets = [], []
    for inputs, y in batches:
        with capture(model, ["penultimate"]) as taken:
            call(model, inputs)
        features.append(taken["penultimate"])
        targets.append(y)
    return torch.cat(features), torch.cat(targets)


def _fitted(features: Float[Tensor, "n d"], targets: Int[Tensor, " n"], classes: int) -> nn.Linear:
    """Logistic regression from zero, with a little decay so that few samples have one answer."""
    linear = nn.Linear(features.shape[1], classes).to(features)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(linear(features), targets) + 1e-3 * linear.weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[arg-type]
    return linear.requires_grad_(False)
