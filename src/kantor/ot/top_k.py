"""Top-k and ranks as transport, so that they have gradients: the k best of some scores, and where each score stands."""

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError, suggest
from kantor.ot.implicit import differentiable_plan
from kantor.ot.precision import no_autocast, upcast
from kantor.ot.problem import check_positive, check_real, first_entry

_LEAST = 1e-10
"""Smaller an epsilon changes no mask any more: to 64 bits they are 0 and 1."""
Scale = Literal["batch", "each"]
"""Over what a cost's largest entry is taken: all problems together, or each of its own."""


def topk(
    scores: Float[Tensor, "... n"],
    k: int,
    epsilon: float = 0.1,
    *,
    largest: bool = True,
    sorted: bool = False,  # noqa: A002 (as torch.topk calls it)
    scale: Scale = "batch",
) -> Float[Tensor, "... n"] | Float[Tensor, "... n k"]:
    """A soft mask of the ``k`` best scores: entries in [0, 1] that sum to ``k``, differentiable in the scores.

    Transport of the scores to two anchors, which take ``k`` and ``n - k`` of them (SOFT top-k, Xie et al., NeurIPS
    2020, arXiv 2002.06504): ``C_ij = (s_i - b_j)^2 / max C`` with anchors 0, which takes the chosen, and 1, for scores
    whose sign is turned where the largest are chosen. Of two anchors the plan is a sigmoid of ``(C_i1 - C_i0 + t) /
    epsilon``, with the one ``t`` for which it sums to ``k``: found by bisection, and differentiated implicitly. As
    epsilon falls the mask becomes 0 and 1, ties shared; so do its gradients vanish. The largest cost is held fixed
    in the gradient, as in the authors' code, which this equals.

    Scores of order 1 suit: the cost is measured beside anchors that are 1 apart. Half precision is computed in full,
    and what comes back is float32 then. There are first derivatives alone.

    Args:
        scores: leading dimensions are problems of their own. Infinite ones are put beyond the finite ones by as much as
            these are apart, and get no gradient.
        k: how many, from 1 to n.
        epsilon: the regularisation, in units of the largest cost.
        largest: choose the largest; else the smallest.
        sorted: tell the chosen apart: ``[..., n, k]``, whose columns are soft masks of the best, the second, ... . Then
            there are ``k + 1`` anchors, k to 0, and the plan comes from :func:`kantor.ot.solve`.
        scale: the largest cost is that of the whole ``batch``, as in the authors' code, or of ``each`` problem, whose
            mask then does not depend on the others.

    Raises:
        ConfigError: ``k`` is not from 1 to n, epsilon is not positive, an unknown ``scale``; or the sorted plan is not
            found at so small an epsilon.
        ShapeError: there are no scores.
        NonFiniteError: a score is not a number, or none of a problem's is finite; the message holds the index.
    """
    check_positive("epsilon", epsilon)
    epsilon = max(epsilon, _LEAST)
    if scale not in get_args(Scale):
        raise ConfigError(f"topk: unknown scale {scale!r}. {suggest(str(scale), get_args(Scale))}")
    n = _length(scores)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= n:
        raise ConfigError(f"k must be a whole number from 1 to the number of scores, {n}; it is {k!r}.")
    k = int(k)
    given = upcast(scores)
    with no_autocast(given.device):
        s = _finite(given.double(), together=scale == "batch")
        if sorted:
            anchors = torch.arange(k, -1, -1, device=s.device, dtype=s.dtype)
            cost = _scaled((s if largest else -s).unsqueeze(-1) - anchors, scale)
            masses = torch.ones_like(anchors) / n
            masses[-1] = (n - k) / n
            if k == n:
                cost, masses = cost[..., :-1], masses[:-1]
            rows = torch.full((n,), 1 / n, device=s.device, dtype=s.dtype)
            return (n * differentiable_plan(cost, rows, masses, epsilon)[..., :k]).to(given.dtype)
        if k == n:
            return torch.ones_like(given) + 0 * given.nan_to_num(0.0, 0.0, 0.0)
        anchors = torch.tensor([0.0, 1.0], device=s.device, dtype=s.dtype)
        cost = _scaled((-s if largest else s).unsqueeze(-1) - anchors, scale)
        return _shared((cost[..., 1] - cost[..., 0]) / epsilon, k).to(given.dtype)


def soft_rank(
    scores: Float[Tensor, "... n"], epsilon: float = 1e-2, *, descending: bool = False
) -> Float[Tensor, "... n"]:
    """Where each score stands among the others, from 1 for the smallest to n, differentiable in the scores.

    Transport between the scores, laid between 0 and 1 by their least and largest, and as many places at equal
    distances, at the squared distance; a score's rank is the mean of the places that it goes to (Cuturi et al., NeurIPS
    2019, arXiv 1905.11885). Ranks sum to ``n (n + 1) / 2``. As epsilon falls they become whole numbers, and as it grows
    they all become the mean. Gradients are implicit: one system of n equations for each problem, so memory grows by n^2
    and time by n^3.

    Args:
        scores: leading dimensions are problems of their own. Infinite ones are treated as by :func:`topk`.
        epsilon: the regularisation, where all scores lie in [0, 1]. Neighbours are told apart where it is below the
            square of their distance, ``1 / n^2`` for scores that are spread evenly.
        descending: 1 is the largest.

    Raises:
        ConfigError: epsilon is not positive, or so small that the plan is not found.
        ShapeError, NonFiniteError: as for :func:`topk`.
    """
    check_positive("epsilon", epsilon)
    n = _length(scores)
    given = upcast(scores)
    with no_autocast(given.device):
        s = _finite(-given.double() if descending else given.double(), together=False)
        least = s.amin(-1, keepdim=True)
        spread = s.amax(-1, keepdim=True) - least
        laid = (s - least) / torch.where(spread > 0, spread, torch.ones_like(spread))
        places = torch.linspace(0, 1, n, device=s.device, dtype=s.dtype)
        masses = torch.full((n,), 1 / n, device=s.device, dtype=s.dtype)
        plan = differentiable_plan((laid.unsqueeze(-1) - places).square(), masses, masses, epsilon)
        ranks = torch.arange(1, n + 1, device=s.device, dtype=s.dtype)
        return (n * (plan @ ranks)).to(given.dtype)


def _length(scores: Tensor) -> int:
    check_real("scores", scores)
    if scores.ndim < 1 or scores.numel() == 0:
        raise ShapeError(f"scores must be [..., n] with at least one score; they are {list(scores.shape)}.")
    return scores.shape[-1]


def _finite(scores: Float[Tensor, "... n"], *, together: bool) -> Float[Tensor, "... n"]:
    """The scores with infinite ones put beyond the finite ones, by as much as these are apart."""
    held = scores.detach()
    if bool(held.isfinite().all()):
        return scores
    if bool(held.isnan().any()):
        raise NonFiniteError(f"scores is {first_entry(held, held.isnan())}. Look for what made it so.")
    none = (~held.isfinite()).all(-1, keepdim=True).expand_as(held)
    if bool(none.any()):
        raise NonFiniteError(f"scores is {first_entry(held, none)}, and no other score there is finite.")
    least = held.where(held.isfinite(), torch.full_like(held, torch.inf)).amin(-1, keepdim=True)
    most = held.where(held.isfinite(), torch.full_like(held, -torch.inf)).amax(-1, keepdim=True)
    if together:
        least, most = least.min(), most.max()
    apart = torch.where(most > least, most - least, torch.ones_like(most))
    return torch.where(held == -torch.inf, least - apart, torch.where(held == torch.inf, most + apart, scores))


def _scaled(difference: Float[Tensor, "... n m"], scale: Scale) -> Float[Tensor, "... n m"]:
    """Squared distances over the largest of them, which is held fixed."""
    cost = difference.square()
    most = cost.detach()
    if not bool(most.isfinite().all()):
        raise NonFiniteError(
            "scores are too large for their squares to be numbers. Divide them by what they differ by."
        )
    return cost / (most.max() if scale == "batch" else most.amax((-2, -1), keepdim=True))


def _shared(x: Float[Tensor, "... n"], k: int) -> Float[Tensor, "... n"]:
    """``sigmoid(x + t)`` with the ``t`` for which it sums to ``k``, ``0 < k < n``."""
    mask = _SoftMask.apply(x, k)
    assert isinstance(mask, Tensor)
    return mask


class _SoftMask(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):  # type: ignore[override]
        mask = torch.sigmoid(x + _level(x, k))
        ctx.save_for_backward(mask)
        return mask

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]
        (mask,) = ctx.saved_tensors
        slope = mask * (1 - mask)
        total = slope.sum(-1, keepdim=True)
        mean = (grad * slope).sum(-1, keepdim=True) / total.where(total > 0, torch.ones_like(total))
        return slope * (grad - mean), None


def _level(x: Float[Tensor, "... n"], k: int) -> Float[Tensor, "... 1"]:
    # Beyond these bounds every sigmoid is 0 or 1 in float64.
    low, high = -x.amax(-1, keepdim=True) - 750.0, -x.amin(-1, keepdim=True) + 750.0
    for _ in range(200):
        t = (low + high) / 2
        above = torch.sigmoid(x + t).sum(-1, keepdim=True) > k
        high, low = torch.where(above, t, high), torch.where(above, low, t)
        if bool(((high - low) <= 4e-16 * (1 + t.abs())).all()):
            break
    return (low + high) / 2
