"""TransRate: the coding rate of all features over that within classes (Huang et al., arXiv 2106.09362)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def transrate(
    features: Float[Tensor, "samples dim"], labels: Int[Tensor, " samples"], *, distortion: float = 1e-4
) -> float:
    """``R(f) - mean over classes of R(f of that class)``, ``R(f) = 1/2 log det(I + f^T f / (n distortion))``, in nats.

    Features are centred over all samples, not within classes. The mean over classes is unweighted, as in the public
    implementation (with classes of equal size it is the paper's).

    Args:
        features: of the teacher's penultimate layer on target samples.
        labels: target classes, of which each occurs.
        distortion: the coding rate's epsilon.
    """
    f = features.double()
    f = f - f.mean(0)
    within = [_rate(f[labels == k], distortion) for k in labels.unique()]
    return _rate(f, distortion) - sum(within) / len(within)


def _rate(f: Tensor, distortion: float) -> float:
    samples, dim = f.shape
    # det(I + A^T A) = det(I + A A^T): take the smaller.
    gram = f @ f.T if samples < dim else f.T @ f
    identity = torch.eye(len(gram), dtype=f.dtype)
    return 0.5 * torch.linalg.slogdet(identity + gram / (samples * distortion))[1].item()
