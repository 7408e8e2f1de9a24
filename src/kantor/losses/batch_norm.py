"""Batch norm for the small networks inside losses: by the statistics of the global batch, and without state."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import ShapeError

_EPS = 1e-5


class BatchNorm(nn.Module):
    """``(x - mean) / sqrt(variance + 1e-5) * weight + bias``, mean and variance over the global batch and positions.

    What ``nn.BatchNorm2d`` computes in training on one process. A loss is never evaluated on a single sample, so no
    running averages are kept: looking at a value changes nothing, and the number of processes does not matter.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "batch channels *positions"]) -> Float[Tensor, "batch channels *positions"]:
        """Normalise every channel.

        Raises:
            ShapeError: there is a single value per channel, which has no spread.
        """
        ranks = world_size()
        if x.numel() * ranks <= x.shape[1]:
            raise ShapeError(
                "A loss's network normalises each channel over the batch and its positions, and these features hold "
                f"one value per channel: {tuple(x.shape)}. Give it two samples or more."
            )
        if ranks == 1:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=_EPS)
        wide = x if x.dtype == torch.float64 else x.float()
        over, spread = (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
        # Where padding is left out a process may have more rows than another; else this is 1.
        rows = wide.new_tensor(x.numel() / x.shape[1])
        share = rows * ranks / sum_over_ranks(rows)
        mean = sum_over_ranks(wide.mean(over) * share) / ranks
        centred = wide - mean.reshape(spread)
        variance = sum_over_ranks(centred.square().mean(over) * share) / ranks
        scale = self.weight * (variance + _EPS).rsqrt()
        return (centred * scale.reshape(spread) + self.bias.reshape(spread)).to(x.dtype)
