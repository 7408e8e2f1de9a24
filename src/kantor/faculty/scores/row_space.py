"""Features in as few dimensions as they span."""

import torch
from jaxtyping import Float
from torch import Tensor


def in_row_space(f: Float[Tensor, "samples dim"]) -> Float[Tensor, "samples spanned"]:
    """The same features in an orthonormal basis of at most as many directions as there are samples.

    Their products with one another are what they were, so scores that are blind to rotations keep their value, and cost
    the cube of the smaller number.
    """
    samples, dim = f.shape
    return f if dim <= samples else torch.linalg.qr(f.T).R.T
