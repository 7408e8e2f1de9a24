"""Embeddings of two models in one space: how near each token is to tokens that both have."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from kantor.core.errors import DataError

_MOST = 256
"""Anchors."""
_LEAST = 8
_ROWS = 1024
"""Tokens whose neighbours are looked for at one time."""


def nearest(
    teacher: Float[Tensor, "teacher_tokens dim"],
    student: Float[Tensor, "student_tokens other_dim"],
    anchors: tuple[Int64[np.ndarray, " anchors"], Int64[np.ndarray, " anchors"]],
    neighbours: int,
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"], Float64[np.ndarray, " pairs"]]:
    """Of each of the teacher's tokens the nearest of the student's, and ``(1 - cosine) / 2`` as their cost.

    The two embeddings have no common axes. Each token is described by its cosines to the anchors, tokens that both
    vocabularies have, standardised over the vocabulary.

    Args:
        teacher, student: embeddings.
        anchors: the same tokens on both sides, the most important first; the first 256 are used.
        neighbours: how many for each token.

    Raises:
        DataError: fewer than eight tokens are the same.
    """
    if len(anchors[0]) < _LEAST:
        raise DataError(
            f"The two vocabularies share {len(anchors[0])} tokens; embeddings are compared through at least {_LEAST}. "
            "Leave the embeddings out."
        )
    ours, theirs = (
        _described(embedding, torch.from_numpy(tokens[:_MOST]))
        for embedding, tokens in ((student, anchors[1]), (teacher, anchors[0]))
    )
    k = min(neighbours, len(ours))
    found = [(rows @ ours.T).topk(k, dim=1) for rows in theirs.split(_ROWS)]
    columns = torch.cat([x.indices for x in found]).flatten().numpy()
    cosines = torch.cat([x.values for x in found]).flatten().double().numpy()
    return np.arange(len(theirs)).repeat(k), columns, ((1 - cosines) / 2).clip(0, 1)


def _described(embedding: Tensor, anchors: Tensor) -> Float[Tensor, "tokens anchors"]:
    unit = F.normalize(embedding.detach().float() - embedding.detach().float().mean(0), dim=1)
    near = unit @ unit[anchors].T
    return F.normalize((near - near.mean(0)) / near.std(0).clamp_min(1e-6), dim=1)
