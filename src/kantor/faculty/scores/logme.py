"""LogME: the evidence of a Bayesian linear model from features to labels (You et al., arXiv 2102.11005)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

_STEPS = 11
_SETTLED = 0.01


def logme(features: Float[Tensor, "samples dim"], labels: Int[Tensor, " samples"]) -> float:
    """The log marginal evidence per sample of one-vs-rest targets, in nats, averaged over classes; no upper bound.

    ``y ~ N(F w, 1 / beta)``, ``w ~ N(0, 1 / alpha)``, with alpha and beta at the fixed point of the evidence, at most
    11 steps from 1 (as the public implementation stops). Features are taken as they are, uncentred: its scale is not
    that of an accuracy, and only differences between teachers on the same samples mean something.

    Args:
        features: of the teacher's penultimate layer on target samples.
        labels: classes 0 to the largest that occurs.
    """
    f, (samples, dim) = features.double(), features.shape
    targets = F.one_hot(labels).double()
    values, vectors = torch.linalg.eigh(f.T @ f)
    values = values.clamp_min(0)
    projected = vectors.T @ (f.T @ targets)
    evidences = [
        _evidence(targets[:, k], f, vectors, values, projected[:, k], samples, dim) for k in range(targets.shape[1])
    ]
    return sum(evidences) / len(evidences)


def _evidence(
    y: Tensor, f: Tensor, vectors: Tensor, values: Tensor, projected: Tensor, samples: int, dim: int
) -> float:
    alpha = beta = ratio = 1.0
    weight_norm = residual = 0.0
    for _ in range(_STEPS):
        effective = (values / (values + ratio)).sum().item()
        weights = vectors @ (projected * beta / (alpha + beta * values))
        weight_norm = weights.square().sum().item()
        residual = (y - f @ weights).square().sum().item()
        alpha, beta = effective / max(weight_norm, 1e-300), (samples - effective) / max(residual, 1e-300)
        before, ratio = ratio, alpha / beta
        if abs(ratio - before) / before < _SETTLED:
            break
    evidence = (
        dim / 2 * math.log(alpha)
        + samples / 2 * math.log(beta)
        - 0.5 * (alpha + beta * values).log().sum().item()
        - beta / 2 * residual
        - alpha / 2 * weight_norm
        - samples / 2 * math.log(2 * math.pi)
    )
    return evidence / samples
