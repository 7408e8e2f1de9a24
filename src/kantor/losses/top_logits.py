"""A language model's logits of which the likeliest are known: what is kept of them, and how losses read them.

Of every token's logits there are ``top`` log probabilities, and the logarithm of the mass of all others, which is taken
to be spread evenly. A softmax does not change when a number is added to all logits; with the others at 0 these are a
sparse tensor, which holds numbers for the tokens that are known alone. ``to_dense()`` gives logits as any.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from kantor.core.errors import ConfigError

_LEAST = -20.0
"""Of the logarithm of what is left: half precision knows it, and no student is told that nothing else can come."""
_AT_ONCE = 1024
"""Positions that are cut at one time: a copy of all logits would be as large as they are."""


def cut(
    logits: Float[Tensor, "batch tokens vocabulary"], came: Int64[Tensor, "batch tokens"] | None, top: int
) -> tuple[Float[Tensor, "batch tokens top_and_one"], Int64[Tensor, "batch tokens top"]]:
    """The log probabilities of the ``top`` likeliest tokens and, last, of all others together; and which tokens.

    The token that came is among them: where it is none of the likeliest, it takes the place of the last of these.

    Args:
        logits: of the token after each.
        came: the tokens that were read; None where they are not known.
        top: how many are kept.

    Raises:
        ConfigError: there are no more than ``top`` tokens.
    """
    if not 0 < top < logits.shape[-1]:
        raise ConfigError(f"top_logits {top}: the teacher has {logits.shape[-1]:,} tokens. Give a smaller number.")
    following = logits.new_full(logits.shape[:2], -1, dtype=torch.int64)
    if came is not None:
        following[:, :-1] = came[:, 1:]
    parts = zip(logits.flatten(0, 1).split(_AT_ONCE), following.flatten().split(_AT_ONCE), strict=True)
    said, tokens = zip(*(_cut(*part, top) for part in parts), strict=True)
    return torch.cat(said).view(*logits.shape[:2], -1), torch.cat(tokens).view(*logits.shape[:2], -1)


def _cut(logits: Tensor, following: Tensor, top: int) -> tuple[Tensor, Tensor]:
    logits = logits.float()
    tokens = logits.topk(top, dim=1).indices
    lacking = (following >= 0) & ~(tokens == following.unsqueeze(1)).any(1)
    tokens[lacking, -1] = following[lacking]
    said = logits.gather(1, tokens) - logits.logsumexp(1, keepdim=True)
    known = said.double().exp().sum(1, keepdim=True).clamp_max(1)
    return torch.cat([said, torch.log1p(-known).float().clamp_min(_LEAST)], dim=1), tokens


def restored(
    said: Float[Tensor, "batch tokens top_and_one"], tokens: Int64[Tensor, "batch tokens top"], vocabulary: int
) -> Float[Tensor, "batch tokens vocabulary"]:
    """What :func:`cut` kept as logits, sparse: what it does not know is 0."""
    tokens, order = tokens.sort(dim=2)
    values = said[..., :-1].float() - (said[..., -1:].float() - math.log(vocabulary - tokens.shape[2]))
    return _sparse(values.gather(2, order), tokens, vocabulary)


def top_of(logits: Float[Tensor, "... vocabulary"]) -> tuple[Float[Tensor, "... top"], Int64[Tensor, "... top"]]:
    """The logits of a sparse tensor that are known, and whose they are: as many at every position."""
    *shape, _ = logits.shape
    return logits.values().view(*shape, -1), logits.indices()[-1].view(*shape, -1)


def rows_of(
    logits: Float[Tensor, "batch tokens vocabulary"], rows: Int64[Tensor, " rows"]
) -> Float[Tensor, "rows vocabulary"]:
    """Some positions of logits, sparse where they are."""
    if not logits.is_sparse:
        return logits.flatten(0, 1)[rows]
    values, tokens = top_of(logits)
    return _sparse(values.flatten(0, 1)[rows], tokens.flatten(0, 1)[rows], logits.shape[-1])


def probabilities_of(
    logits: Float[Tensor, "... vocabulary"], temperature: float = 1.0
) -> tuple[Float[Tensor, "... top"], Float[Tensor, "... 1"], Int64[Tensor, "... top"]]:
    """Of sparse logits: the probabilities of the tokens that are known, that of every other, and which are known."""
    values, tokens = top_of(logits)
    values = values / temperature
    others = math.log(logits.shape[-1] - tokens.shape[-1])
    total = torch.logaddexp(values.logsumexp(-1, keepdim=True), values.new_tensor(others))
    return (values - total).exp(), (-total).exp(), tokens


def falling(
    logits: Float[Tensor, "rows vocabulary"], temperature: float, first: int
) -> tuple[Float[Tensor, "rows first"], Float[Tensor, " rows"]]:
    """The probabilities in falling order: the first of them, and the mass of those after."""
    if not logits.is_sparse:
        return parted((logits / temperature).softmax(-1).sort(dim=-1, descending=True).values, first)
    p, other, _ = probabilities_of(logits, temperature)
    return in_order(p, other, logits.shape[1], first)


def parted(p: Float[Tensor, "rows width"], first: int) -> tuple[Float[Tensor, "rows first"], Float[Tensor, " rows"]]:
    """The first columns, filled up with zeros where there are fewer, and the sum of those after."""
    return torch.nn.functional.pad(p[:, :first], (0, max(0, first - p.shape[1]))), p[:, first:].sum(1)


def in_order(
    p: Float[Tensor, "rows top"], other: Float[Tensor, "rows 1"], width: int, first: int
) -> tuple[Float[Tensor, "rows first"], Float[Tensor, " rows"]]:
    """:func:`falling` of ``width`` probabilities, ``top`` or more, of which some are ``p`` and each of the rest
    ``other``: no sort of them all."""
    p = p.sort(dim=1, descending=True).values
    place = torch.arange(p.shape[1], device=p.device) + (p < other) * (width - p.shape[1])
    known = min(first, width)
    found = other.repeat(1, known + 1).scatter(1, place.clamp_max(known), p)[:, :known]
    left = p.sum(1) + other.squeeze(1) * (width - p.shape[1]) - found.sum(1)
    return torch.nn.functional.pad(found, (0, first - known)), left.clamp_min(0)


def sorted_difference(
    student: Float[Tensor, "rows tokens"],
    teacher: tuple[Float[Tensor, "rows tokens"], Float[Tensor, " rows"]],
    ours: Float[Tensor, " rows"],
    theirs: Float[Tensor, " rows"],
) -> Float[Tensor, " rows"]:
    """The L1 distance of probabilities in falling order, each side's multiplied by a number.

    Args:
        student: in falling order.
        teacher: as many, and the mass of those after them, which meet nothing.
        ours, theirs: what they are multiplied by.
    """
    first, after = teacher
    return (student * ours.unsqueeze(1) - first * theirs.unsqueeze(1)).abs().sum(1) + after * theirs


def _sparse(values: Tensor, tokens: Tensor, vocabulary: int) -> Tensor:
    shape = tokens.shape
    places = torch.ones(shape, dtype=torch.bool, device=tokens.device).nonzero()[:, :-1].T
    index = torch.cat([places, tokens.reshape(1, -1)])
    size = (*shape[:-1], vocabulary)
    return torch.sparse_coo_tensor(index, values.flatten(), size, is_coalesced=True, check_invariants=False)
