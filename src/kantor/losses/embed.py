"""The embedding that contrastive losses share: one linear layer to 128 numbers, then length 1 (arXiv 1910.10699)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.errors import ShapeError
from kantor.losses.checks import width
from kantor.losses.features import pool
from kantor.ot.precision import upcast

DIM = 128
"""Numbers in an embedding, as in the public code of CRD."""


class Embed(nn.Module):
    """``x -> Wx + b``, divided by its length: a point on the unit sphere.

    A map or token sequence is averaged over its positions first. (The public code flattens a map instead; it is only
    ever given vectors.)

    Args:
        width: numbers per sample that go in; :func:`pooled_width` of the layer's shape.
        dim: numbers per sample that come out.
    """

    def __init__(self, width: int, dim: int = DIM) -> None:
        super().__init__()
        self.linear = nn.Linear(width, dim)

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch dim"]:
        """Embed one layer's output."""
        return F.normalize(upcast(self.linear(pool(x))), dim=-1)


def pooled_width(shape: tuple[int, ...], who: str) -> int:
    """The length of a pooled row of an output of this shape: D of ``[N, D]`` and ``[N, T, D]``, else C.

    Args:
        shape: a layer's output shape, batch first.
        who: the loss that asks, for the message.

    Raises:
        ShapeError: the output has another number of dimensions.
    """
    if len(shape) not in (2, 3, 4, 5):
        raise ShapeError(
            f"{who} takes a layer of [N, D], [N, T, D], [N, C, H, W] or [N, C, D, H, W]; this one is {tuple(shape)}."
        )
    return width(shape)
