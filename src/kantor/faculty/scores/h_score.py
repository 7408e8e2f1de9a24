"""H-score: how much of the features' spread lies between classes (Bao et al., ICIP 2019)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor.faculty.scores.row_space import in_row_space


def h_score(features: Float[Tensor, "samples dim"], labels: Int[Tensor, " samples"]) -> float:
    """``trace(pinv(cov(f)) cov(E[f | y]))``, between 0 and the number of features.

    It is not reliable where samples are not many times the features; see :func:`h_score_regularised`.

    Args:
        features: of the teacher's penultimate layer on target samples.
        labels: target classes.
    """
    f = in_row_space(features.double())
    return _trace(torch.cov(f.T), torch.cov(_class_means(f, labels).T))


def h_score_regularised(features: Float[Tensor, "samples dim"], labels: Int[Tensor, " samples"]) -> float:
    """H-score with Ledoit and Wolf's shrunk covariance (Ibrahim et al., arXiv 2110.06893).

    ``trace(pinv(cov_a(f)) (1 - a) cov(E[f | y]))`` where ``cov_a`` is shrunk by ``a`` towards a multiple of the
    identity.
    """
    f = features.double()
    f = in_row_space(f - f.mean(0))
    shrunk, shrinkage = ledoit_wolf(f, features.shape[1])
    return _trace(shrunk, (1 - shrinkage) * torch.cov(_class_means(f, labels).T))


def ledoit_wolf(
    centred: Float[Tensor, "samples spanned"], dim: int | None = None
) -> tuple[Float[Tensor, "spanned spanned"], float]:
    """The shrunk covariance of centred samples, and the shrinkage in [0, 1] (Ledoit & Wolf, 2004).

    The share of the spread around ``mean variance * identity`` that is expected of sampling alone.

    Args:
        centred: the samples, in all their dimensions or in a basis of those that they span.
        dim: how many dimensions they have, where that is more: in the others there is no spread.
    """
    samples, spanned = centred.shape
    dim = spanned if dim is None else dim
    covariance = centred.T @ centred / samples
    level = covariance.diagonal().sum() / dim
    off = (covariance - level * torch.eye(spanned, dtype=centred.dtype)).square().sum()
    off = off + (dim - spanned) * level.square()
    noise = (centred.square().sum(1).square().sum() / samples - covariance.square().sum()) / samples
    shrinkage = 0.0 if off.item() == 0 else min(max((noise / off).item(), 0.0), 1.0)
    shrunk = (1 - shrinkage) * covariance
    shrunk.diagonal().add_(shrinkage * level)
    return shrunk, shrinkage


def _class_means(f: Tensor, labels: Tensor) -> Tensor:
    """Each sample's class mean in its place."""
    classes = int(labels.max()) + 1
    sums = f.new_zeros(classes, f.shape[1]).index_add_(0, labels, f)
    return (sums / torch.bincount(labels, minlength=classes).clamp_min(1)[:, None])[labels]


def _trace(covariance: Tensor, between: Tensor) -> float:
    return (torch.linalg.pinv(covariance, rtol=1e-15, hermitian=True) * between.T).sum().item()
