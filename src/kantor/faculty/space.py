"""One space for every label: costs between classes, on one scale for all teachers."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64, Int64

from kantor.core.errors import DataError
from kantor.losses import LabelCost

Vectors = Float64[np.ndarray, "classes dim"]


def costs_in(student: Vectors, teachers: Mapping[str, Vectors]) -> dict[str, LabelCost]:
    """Cosine distances between class vectors, centred and scaled over the union of all classes.

    Raw word vectors share a large common part, so that everything is close to everything; the mean over the distinct
    vectors of the union takes it off. One scale for all: the mean distance between two different classes of the
    union is 1, so costs (and epsilon) mean the same for every teacher, and adding a teacher changes them little.

    Args:
        student: a vector for each of the student's classes.
        teachers: the same for each teacher; equal vectors are one class.

    Raises:
        DataError: all vectors are the same, so nothing tells classes apart.
    """
    union, classes = np.unique(np.concatenate([student, *teachers.values()]), axis=0, return_inverse=True)
    centre = union.mean(axis=0)
    units = _unit(union - centre)
    count = len(units)
    # The mean over pairs of 1 - <u, v>, from the sum of the units alone: the union may hold thousands of classes.
    scale = 1 - (np.square(units.sum(axis=0)).sum() - np.square(units).sum()) / max(1, count * (count - 1))
    if count < 2 or not scale > 0:
        raise DataError("All classes have the same vector, so no cost tells them apart. Check the class names.")

    own, *theirs = np.split(classes, np.cumsum([len(student), *(len(vectors) for vectors in teachers.values())])[:-1])
    return {
        name: LabelCost(*(_distance(units, a, b) / scale for a, b in ((t, own), (own, own), (t, t))))
        for name, t in zip(teachers, theirs, strict=True)
    }


def _unit(x: Vectors) -> Vectors:
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norm, out=np.zeros_like(x), where=norm > 1e-12)


def _distance(units: Vectors, a: Int64[np.ndarray, " n"], b: Int64[np.ndarray, " m"]) -> torch.Tensor:
    distance = np.clip(1 - units[a] @ units[b].T, 0, None)
    distance[a[:, None] == b] = 0.0  # rounding must not make a class differ from itself
    return torch.from_numpy(distance).float()
