"""Transport scores: minus what it costs to move a teacher's labels to mine (after arXiv 2204.11526)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor import ot


def transport(
    predictions: Float[Tensor, "samples teacher_classes"],
    labels: Int[Tensor, " samples"],
    cost: Float[Tensor, "teacher_classes classes"],
) -> Float[Tensor, " samples"]:
    """Minus the transport cost from the teacher's prediction to the label, per sample; the score is its mean.

    All mass goes to the label, so the plan is forced: ``-sum_i p_i(x) M_iy``, in the cost's units, at most 0.

    Args:
        predictions: the teacher's probabilities on target samples, of the training part.
        labels: their target classes.
        cost: one scale for all teachers, see ``kantor.faculty.space``.
    """
    return -(predictions @ cost).gather(1, labels[:, None])[:, 0]


def transport_to_student(
    predictions: Float[Tensor, "samples teacher_classes"],
    student: Float[Tensor, "samples classes"],
    cost: Float[Tensor, "teacher_classes classes"],
    *,
    epsilon: float = 0.05,
    tol: float = 1e-3,
) -> Float[Tensor, " samples"]:
    """Minus the transport cost from the teacher's prediction to the student's, per sample.

    ``-<P, M>`` for the plan P of least ``<P, M> + epsilon KL(P | p q^T)``; with a one-hot student it is
    :func:`transport`.
    """
    return -ot.solve(cost, predictions, student, epsilon=epsilon, tol=tol).cost


def transport_labels(
    shares: Float[Tensor, "*draws classes"], cost: Float[Tensor, "teacher_classes classes"], *, epsilon: float = 0.01
) -> Float[Tensor, "*draws"]:
    """Minus the transport cost between the label spaces alone: no forward pass, so a filter for thousands of teachers.

    From the uniform distribution over the teacher's classes to the target's. A teacher that also knows much else pays
    for moving it, unlike under :func:`transport`.

    Args:
        shares: how frequent each target class is; they sum to 1.
        cost: one scale for all teachers.
        epsilon: regularisation, as a share of the mean cost.
    """
    scale = cost.mean().clamp_min(1e-12).item()
    return -ot.solve(cost, b=shares.to(cost.dtype), epsilon=epsilon * scale).cost


def shares(labels: Int[Tensor, "*draws samples"], classes: int) -> Float[Tensor, "*draws classes"]:
    """How frequent each class is among the labels."""
    return torch.nn.functional.one_hot(labels, classes).double().mean(-2)
