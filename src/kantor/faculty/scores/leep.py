"""LEEP and NCE: how well the teacher's classes predict mine, by their co-occurrence."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def leep(predictions: Float[Tensor, "samples teacher_classes"], labels: Int[Tensor, " samples"], classes: int) -> float:
    """Log expected empirical prediction, in nats, at most 0 (Nguyen et al., ICML 2020, arXiv 2002.12462).

    ``mean_n log sum_z P(y_n | z) p_z(x_n)``, with ``P(y | z)`` from the mean over the same samples of
    ``p_z(x_n) [y_n = y]``. The first argument is the teacher's probabilities, not logits.
    """
    joint = predictions.T @ F.one_hot(labels, classes).to(predictions.dtype)
    given = joint / joint.sum(1, keepdim=True).clamp_min(torch.finfo(joint.dtype).tiny)
    expected = (predictions @ given).gather(1, labels[:, None])
    return expected.log().mean().item()


def nce(source: Int[Tensor, " samples"], labels: Int[Tensor, " samples"]) -> float:
    """Negative conditional entropy ``-H(label | source)``, in nats, at most 0 (Tran et al., arXiv 1908.08142).

    Args:
        source: the teacher's most probable class of each sample. It conditions; the order of arguments matters.
        labels: target classes.
    """
    teacher_classes, classes = int(source.max()) + 1, int(labels.max()) + 1
    joint = torch.bincount(source * classes + labels, minlength=teacher_classes * classes).double()
    return negative_conditional_entropy(joint.reshape(teacher_classes, classes) / len(labels))


def negative_conditional_entropy(joint: Float[Tensor, "given of"]) -> float:
    """``-H(column | row)`` of a joint distribution, in nats."""
    given = joint.sum(1, keepdim=True).expand_as(joint)
    seen = joint > 0
    return (joint[seen] * (joint[seen] / given[seen]).log()).sum().item()
