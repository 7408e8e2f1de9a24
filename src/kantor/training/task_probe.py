"""Linear heads on frozen features for any task: learned by its loss, judged by its metric, layer by layer.

What :mod:`kantor.training.linear_probe` is for one class a sample. Labels of a sample are learned from means over
positions; a class for every token from the tokens themselves, one on every place of an image from a map, whose logits
are interpolated to the labels' places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64
from scipy.optimize import minimize
from torch import Tensor, nn

from kantor.capture.layers import candidates
from kantor.core.errors import ConfigError
from kantor.core.inputs import on_device
from kantor.data import DataSet, Part
from kantor.data.part import sample
from kantor.tasks import Task

PENALTIES = (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Tried from strong to weak; of equals the stronger is taken."""
MOST_POSITIONS = 200_000
"""Where every position has a label, a part is read up to so many: the same samples every time."""


@dataclass(frozen=True)
class LinearHead:
    """Weights on standardised features."""

    mean: Float64[Tensor, " dim"]
    deviation: Float64[Tensor, " dim"]
    weights: Float64[Tensor, "dim_and_one outputs"]

    def outputs(
        self, features: Float64[Tensor, "samples ... dim"], task: Task, places: Sequence[int]
    ) -> Float64[Tensor, "samples ..."]:
        """What a model with this head returns, in the shape that the task takes.

        Args:
            features: channels last.
            task: says where the outputs' axis is.
            places: height and width of the labels; none where a sample has one.
        """
        found = ((features - self.mean) / self.deviation) @ self.weights[:-1] + self.weights[-1]
        if found.ndim == 2 or task.axis == -1:
            return found
        found = found.movedim(-1, 1)
        return F.interpolate(found, tuple(places), mode="bilinear") if found.shape[2:] != tuple(places) else found


def head_fitted(
    features: Float64[Tensor, "samples ... dim"], targets: Tensor, outputs: int, task: Task, penalty: float
) -> LinearHead:
    """The head that minimises the task's loss ``+ penalty / 2 * |weights|^2``, its constants unpenalised.

    Args:
        features: channels last; standardised here.
        targets: the labels.
        outputs: how many the head has.
        task: its loss.
        penalty: positive.
    """
    flat = features.flatten(0, -2)
    mean, deviation = flat.mean(0), flat.std(0, correction=0)
    deviation = torch.where(deviation > 1e-8 * (1 + mean.abs()), deviation, torch.inf)

    def loss(at: Float64[np.ndarray, " parameters"]) -> tuple[float, Float64[np.ndarray, " parameters"]]:
        weights = torch.from_numpy(at).reshape(-1, outputs).requires_grad_()
        found = LinearHead(mean, deviation, weights).outputs(features, task, targets.shape[1:])
        value = task.loss(found, targets) + penalty / 2 * weights[:-1].square().sum()
        (gradient,) = torch.autograd.grad(value, weights)
        return value.item(), gradient.numpy().ravel()

    first = np.zeros((flat.shape[1] + 1) * outputs)
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-4})
    return LinearHead(mean, deviation, torch.from_numpy(found.x).reshape(-1, outputs))


def best_head(
    features: Sequence[Float64[np.ndarray, "samples ... dim"]], parts: Sequence[Part], outputs: int, task: Task
) -> tuple[float, float, float | None]:
    """The penalty that is best on validation data, and what is reached there and on the test part.

    Args:
        features: of each part.
        parts: what is learned from, what chooses, and perhaps what judges.
        outputs: how many the head has.
        task: its loss and metric.
    """
    seen = [torch.from_numpy(x) for x in features]
    labels = [torch.from_numpy(np.ascontiguousarray(part.targets)) for part in parts]
    best: tuple[float, float, LinearHead] | None = None
    for penalty in PENALTIES:
        head = head_fitted(seen[0], labels[0], outputs, task, penalty)
        validation = value_of(head, seen[1], labels[1], task)
        if best is None or task.scale.better(validation, best[1]):
            best = penalty, validation, head
    assert best is not None
    penalty, validation, head = best
    return penalty, validation, value_of(head, seen[2], labels[2], task) if len(seen) > 2 else None


def value_of(head: LinearHead, features: Float64[Tensor, "samples ... dim"], targets: Tensor, task: Task) -> float:
    """What the head reaches by the task's first metric."""
    outputs = head.outputs(features, task, targets.shape[1:])
    return task.values(task.measured(outputs, targets))[task.scale.name]


def layers_with_places(model: nn.Module, data: DataSet, layers: Sequence[str]) -> list[str]:
    """Of some layers those that have an output where the labels are: for labels at every token, tokens of that number;
    for a map of labels, maps.

    Raises:
        ConfigError: none has.
    """
    dims = data.train.targets.ndim - 1
    if data.kind != "maps":
        return list(layers)
    example = data.train.seen_by("student").read(np.arange(1))["student"]
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    known = {layer.path: layer for layer in candidates(model, on_device(example, device))}
    tokens = data.train.targets.shape[1]
    found = [
        path
        for path in layers
        if path in known
        and (known[path].kind == "map" if dims > 1 else known[path].kind == "tokens" and known[path].shape[0] == tokens)
    ]
    if not found:
        wanted = "a map" if dims > 1 else f"{tokens} tokens"
        raise ConfigError(
            f"{data.name} has a label at every place, and of the layers {', '.join(layers)} none has {wanted}: a "
            "linear head could read nothing there. Compare students by `kantor evaluate`."
        )
    return found


def few_enough(part: Part) -> Part:
    """A part whose labels lie on places, cut to :data:`MOST_POSITIONS`."""
    return sample(part, max(2, MOST_POSITIONS // max(1, int(np.prod(part.targets.shape[1:])))))
