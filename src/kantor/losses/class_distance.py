"""How unlike two classes are, by the features of their samples (arXiv 2412.08139, section 3.1)."""

import functools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def class_distances(rows: Sequence[Float[Tensor, "_ dim"]]) -> Float[Tensor, "classes classes"]:
    """``1 - CKA(X_i, X_j)``, linear centred kernel alignment of the features of two classes' samples.

    ``CKA = |X_j' X_i|^2 / (|X_i' X_i| |X_j' X_j|)`` with the mean row taken out and Frobenius norms. The rows of two
    classes are paired in the order they come, the k-th sample of one with the k-th of the other, as in the public code
    (WKD): what is compared is how the features of a class vary, not where they lie.

    Args:
        rows: each class's features, one row per sample. Of every class that has at least two, the first n are used,
            n being the smallest class's number.

    Computed in float64, in which class means of large features leave their differences.

    Returns:
        In the rows' precision, float32 at least. Symmetric, in [0, 1], zero on the diagonal. A class with fewer than
        two samples, or whose rows are all the same, is at distance 1 from the others.
    """
    there = [place for place, x in enumerate(rows) if x.shape[0] > 1]
    distances = 1.0 - torch.eye(len(rows), dtype=torch.float64)
    kind = functools.reduce(torch.promote_types, (x.dtype for x in rows), torch.float32)
    if len(there) < 2:
        return distances.to(kind)
    least = min(rows[place].shape[0] for place in there)
    features = torch.stack([rows[place][:least] for place in there]).double()
    features = features - features.mean(1, keepdim=True)
    # |X_j' X_i|^2 = <X_i X_i', X_j X_j'>: inner products of the classes' Gram matrices, all at once.
    grams = features @ features.mT
    unit = torch.nn.functional.normalize(grams.flatten(1), dim=1)
    alignment = (unit @ unit.mT).clamp(0.0, 1.0)
    index = torch.tensor(there)
    distances[index.unsqueeze(1), index] = 1.0 - alignment
    return distances.fill_diagonal_(0.0).to(kind)
