"""Class centres in one feature space that sees the student's data."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def label_centres(
    features: Float[Tensor, "samples dim"], labels: Int[Tensor, " samples"], classes: int
) -> Float[Tensor, "classes dim"]:
    """The mean feature of each class; the mean of all where a class has no sample."""
    return prediction_centres(features, torch.nn.functional.one_hot(labels, classes))


def prediction_centres(
    features: Float[Tensor, "samples dim"],
    predictions: Float[Tensor, "samples classes"] | Int[Tensor, "samples classes"],
) -> Float[Tensor, "classes dim"]:
    """The mean feature of the samples that a teacher takes for each of its classes, weighted by its probabilities.

    A teacher's own data is not at hand, so its classes are placed by what they are recognised in; the mean of all is
    where a class is that is never recognised.
    """
    weights, features = predictions.double(), features.double()
    mass = weights.sum(0)
    centre = features.mean(0)
    # A class with next to no mass would be placed by rounding: pull it to the mean by a thousandth of a sample.
    return (weights.T @ features + 1e-3 * centre) / (mass + 1e-3)[:, None]
