"""Linear probes: how well frozen features tell the classes apart, or serve another task, layer by layer.

The test of representations that WCoRD (arXiv 2012.08674, table 5) takes from its forerunners. That paper does not state
how features are pooled nor how its classifiers are fitted. Here a map is averaged over its positions, features are
standardised, and multinomial logistic regression is fitted to its optimum, its L2 penalty chosen on validation data.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import nn

from kantor.capture import call, capture, stages
from kantor.core.errors import ConfigError
from kantor.core.inputs import on_device
from kantor.core.modes import as_evaluated
from kantor.data import Augment, DataSet, Loader, Part, split
from kantor.data.label_kinds import IN_WORDS, strata_of
from kantor.losses.features import pool_without_padding
from kantor.tasks import Classification, NextToken, Task
from kantor.training.task_probe import PENALTIES, best_head, few_enough, layers_with_places

HELD_OUT = 0.2
"""Share of the training part that chooses the penalty where there is no validation part."""

Features = Float64[np.ndarray, "samples dim"]
Labels = Int64[np.ndarray, " samples"]


@dataclass(frozen=True)
class LinearClassifier:
    """Weights on standardised features, the last row for the constant."""

    mean: Float64[np.ndarray, " dim"]
    deviation: Float64[np.ndarray, " dim"]
    weights: Float64[np.ndarray, "dim_and_one classes"]

    def accuracy(self, features: Features, labels: Labels) -> float:
        """Share of samples whose most probable class is the label, in [0, 1]."""
        return float((_scores(self._standard(features), self.weights).argmax(axis=1) == labels).mean())

    def _standard(self, features: Features) -> Features:
        return (features - self.mean) / self.deviation


@dataclass(frozen=True)
class Probed:
    """What a probe of one layer found."""

    layer: str
    dim: int
    penalty: float
    """Of the squared norm of the weights, halved, beside the task's mean loss."""
    validation: float
    """By the task's first metric."""
    reached: float | None
    """On the test part; None where it was not read."""

    @property
    def accuracy(self) -> float | None:
        """The earlier name of ``reached``."""
        warnings.warn("Probed.accuracy is called reached now.", DeprecationWarning, stacklevel=2)
        return self.reached


def probe(
    model: nn.Module,
    data: DataSet,
    *,
    task: Task | None = None,
    judge: bool = True,
    layers: Sequence[str] | None = None,
) -> list[Probed]:
    """Fit a probe to each of the model's layers on the training part, as the student sees it.

    Args:
        model: frozen; run in eval mode, without augmentation.
        data: labelled. The penalty is chosen on its validation part, else on a fifth of the training part.
        task: what is learned, and by which metric it is judged; classification if left out.
        judge: read the test part.
        layers: module paths; the ends of the network's stages if left out.

    Raises:
        ConfigError: the task is next-token prediction, or the data has no labels that it could learn, or no test part
            to judge by; or no layer has an output where the labels are.
    """
    task = Classification() if task is None else task
    _refuse_labels(data, task)
    if judge and data.test is None:
        raise ConfigError(f"{data.name} has no test part to judge a probe by.")
    train, held_out = (data.train, data.validation) if data.validation is not None else _cut(data.train)
    if layers is None:
        example = on_device(train.seen_by("student").read(np.arange(1))["student"], _device(model))
        layers = [stage.path for stage in stages(model, example)]
    layers = layers_with_places(model, data, layers)
    parts = [train, held_out, data.test] if judge and data.test is not None else [train, held_out]
    with_positions = data.kind == "maps"
    parts = [few_enough(part) for part in parts] if with_positions else parts
    features = [features_of(model, part, layers, with_positions=with_positions) for part in parts]
    found = []
    for layer in layers:
        seen = [held[layer] for held in features]
        if _is_plain(data, task):
            penalty, validation, reached = _classes(seen, parts, len(data.classes))
        else:
            penalty, validation, reached = best_head(seen, parts, len(data.classes), task)
        found.append(Probed(layer, seen[0].shape[-1], penalty, validation, reached))
    return found


def _classes(features: Sequence[Features], parts: Sequence[Part], classes: int) -> tuple[float, float, float | None]:
    """The penalty that is best on validation data, and what is reached there and on the test part."""
    trials: list[tuple[float, float, LinearClassifier]] = []
    for penalty in PENALTIES:
        start = trials[-1][2] if trials else None
        classifier = fit(features[0], parts[0].targets, classes, penalty, start)
        trials.append((classifier.accuracy(features[1], parts[1].targets), penalty, classifier))
    validation, penalty, best = max(trials, key=lambda trial: trial[0])
    return penalty, validation, best.accuracy(features[2], parts[2].targets) if len(parts) > 2 else None


def _is_plain(data: DataSet, task: Task) -> bool:
    """Multinomial logistic regression is the linear head of the task."""
    return type(task) is Classification and data.train.is_classes


def _refuse_labels(data: DataSet, task: Task) -> None:
    if isinstance(task, NextToken):
        raise ConfigError(
            f"Task {task.name} has no probe: a linear head that predicts the next of all tokens is a language model of "
            "its own, and says little of a layer. Compare students by `kantor evaluate`, and their layers by `kantor "
            "compare`."
        )
    if not data.train.labelled or data.kind != task.labels:
        have = f"those of {data.name} are {IN_WORDS[data.kind]}" if data.train.labelled else f"{data.name} has none"
        raise ConfigError(
            f"A probe by the task {task.name} needs labels, {IN_WORDS[task.labels]}, and {have}. Give other --data."
        )
    if data.kind == "classes" and len(np.unique(data.train.targets)) < 2:
        raise ConfigError(f"A probe needs labels of two or more classes, and {data.name} has one. Give other --data.")


def validation_accuracy(model: nn.Module, data: DataSet) -> float:
    """What a probe of the last stage reaches on validation data: how trials without a task are judged."""
    return probe(model, data, judge=False)[-1].validation


@torch.no_grad()
def features_of(
    model: nn.Module, part: Part, layers: Sequence[str], *, with_positions: bool = False
) -> dict[str, Float64[np.ndarray, "samples ... dim"]]:
    """The layers' outputs in eval mode, in the part's order, averaged over their positions.

    Args:
        model: the network.
        part: the samples.
        layers: module paths.
        with_positions: with all positions, channels last.
    """
    device = _device(model)
    loader = Loader(part.seen_by("student"), 256, seed=0, augment=Augment.named("none"), shuffle=False, drop_last=False)
    pieces: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    with as_evaluated(model), capture(model, layers) as taken:
        for batch in loader.epoch(0):
            inputs = batch.to(device).inputs["student"]
            call(model, inputs)
            for layer in layers:
                x = taken[layer] if with_positions else pool_without_padding(taken[layer], inputs, layer)
                pieces[layer].append((x.movedim(1, -1) if x.ndim > 3 else x).double().cpu().numpy())
    return {layer: np.concatenate(found) for layer, found in pieces.items()}


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def fit(
    features: Features, labels: Labels, classes: int, penalty: float, start: LinearClassifier | None = None
) -> LinearClassifier:
    """Multinomial logistic regression: ``mean cross-entropy + penalty / 2 * |weights|^2``, the constant unpenalised.

    Args:
        features: as they are; standardised here, by their own mean and deviation.
        labels: class numbers.
        classes: how many there are.
        penalty: positive.
        start: of the same features, to start from.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # What never varies says nothing; it becomes 0.
    deviation = np.where(deviation > 1e-8 * (1 + np.abs(mean)), deviation, np.inf)
    x, n = (features - mean) / deviation, len(features)

    def loss(flat: Float64[np.ndarray, " parameters"]) -> tuple[float, Float64[np.ndarray, " parameters"]]:
        weights = flat.reshape(-1, classes)
        scores = _scores(x, weights)
        value = -log_softmax(scores, axis=1)[np.arange(n), labels].mean()
        residual = softmax(scores, axis=1)
        residual[np.arange(n), labels] -= 1
        gradient = np.concatenate([x.T @ residual, residual.sum(axis=0, keepdims=True)]) / n
        gradient[:-1] += penalty * weights[:-1]
        return value + penalty / 2 * np.square(weights[:-1]).sum(), gradient.ravel()

    first = np.zeros((x.shape[1] + 1, classes)) if start is None else start.weights
    # A gradient of 1e-4 leaves accuracies as they are; the last digits of weak penalties would cost most of the time.
    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-4})
    return LinearClassifier(mean, deviation, found.x.reshape(-1, classes))


def _scores(x: Features, weights: Float64[np.ndarray, "dim_and_one classes"]) -> Float64[np.ndarray, "samples classes"]:
    return x @ weights[:-1] + weights[-1]


def _cut(part: Part) -> tuple[Part, Part]:
    count = split.share(HELD_OUT, len(part))
    held = split.choose(strata_of(part.targets), part.ids, count, split.VALIDATION, leave_one=True)
    learned_from = np.setdiff1d(np.arange(len(part)), held)

    def at(rows: Int64[np.ndarray, " n"]) -> Part:
        return replace(part, ids=part.ids[rows], targets=part.targets[rows], rows=part.rows[rows])

    return at(learned_from), at(held)
