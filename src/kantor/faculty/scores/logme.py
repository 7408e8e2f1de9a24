"""LogME: the evidence of a Bayesian linear model from features to labels (You et al., arXiv 2102.11005)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.faculty.scores.row_space import in_row_space

_STEPS = 11
_SETTLED = 0.01


def logme(features: Float[Tensor, "samples dim"], labels: Shaped[Tensor, "samples ..."]) -> float:
    """The log marginal evidence per sample of one-vs-rest targets, in nats, averaged over classes; no upper bound.

    Numbers are targets as they are, and the average is over the numbers of a sample.

    ``y ~ N(F w, 1 / beta)``, ``w ~ N(0, 1 / alpha)``, with alpha and beta at the fixed point of the evidence, at most
    11 steps from 1 (as the public implementation stops). Features are taken as they are, uncentred: its scale is not
    that of an accuracy, and only differences between teachers on the same samples mean something.

    The average is over the classes that some sample has: nothing is to be learned of another. Samples may be fewer
    than features.

    Args:
        features: of the teacher's penultimate layer on target samples.
        labels: class indices; or floating-point numbers, ``[samples]`` or ``[samples, numbers]``.

    Raises:
        ShapeError: there are not as many labels as rows of features, or none.
    """
    rows = labels.shape[:1] if labels.is_floating_point() else labels.shape
    if features.ndim != 2 or rows != features.shape[:1] or len(labels) == 0:
        raise ShapeError(
            f"logme takes features [samples, dim] and a label for each: {list(features.shape)} and "
            f"{list(labels.shape)} do not belong together."
        )
    f, samples = features.double(), len(features)
    if labels.is_floating_point():
        targets = labels.double().reshape(samples, -1)
    else:
        targets = F.one_hot(labels).double()
        targets = targets[:, targets.any(0)]
    f = in_row_space(f)
    values, vectors = torch.linalg.eigh(f.T @ f)
    values = values.clamp_min(0)
    projected = vectors.T @ (f.T @ targets)
    evidences = [_evidence(targets[:, k], f, vectors, values, projected[:, k]) for k in range(targets.shape[1])]
    return sum(evidences) / len(evidences)


def _evidence(y: Tensor, f: Tensor, vectors: Tensor, values: Tensor, projected: Tensor) -> float:
    samples, free = len(y), max(len(y) - len(values), 0)
    if not values.any():  # features of zeros: what is left is noise
        beta = samples / y.square().sum().item()
        return 0.5 * (math.log(beta) - 1.0 - math.log(2 * math.pi))
    alpha = beta = ratio = 1.0
    weight_norm = residual = 0.0
    for _ in range(_STEPS):
        effective = (values / (values + ratio)).sum().item()
        # Not the samples less those: with as many features or more that would be rounding, below zero too.
        left = free + (ratio / (values + ratio)).sum().item()
        weights = vectors @ (projected * beta / (alpha + beta * values))
        weight_norm = weights.square().sum().item()
        residual = (y - f @ weights).square().sum().item()
        alpha, beta = effective / max(weight_norm, 1e-300), left / max(residual, 1e-300)
        before, ratio = ratio, alpha / beta
        if abs(ratio - before) / before < _SETTLED:
            break
    evidence = (
        samples / 2 * math.log(beta)
        - 0.5 * (values / ratio).log1p().sum().item()
        - beta / 2 * residual
        - alpha / 2 * weight_norm
        - samples / 2 * math.log(2 * math.pi)
    )
    return evidence / samples
