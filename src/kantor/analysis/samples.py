"""What excites a neuron: its top samples, and small pictures of them."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from kantor.data import Part
from kantor.data.label_kinds import texts_of

LARGEST_TILE = 48
"""Thumbnails are at most so many pixels a side."""
MOST_TILES = 2500
"""So many thumbnails at most; a page that holds them stays under 6 MB."""


def top_samples(activations: Float[Tensor, "samples neurons"], count: int = 5) -> Int[Tensor, "neurons count"]:
    """Rows of the samples that excite each neuron most, strongest first (the earlier of equals)."""
    order = activations.argsort(dim=0, descending=True, stable=True)
    return order[: min(count, len(order))].T.contiguous()


@dataclass(frozen=True)
class Sheet:
    """Thumbnails of some samples, side by side in one JPEG."""

    rows: Int[np.ndarray, " shown"]
    """Positions in the part: tile k is sample ``rows[k]``."""
    tile: int
    columns: int
    image: bytes

    def facts(self, part: Part, file: str, classes: Sequence[str]) -> dict[str, Any]:
        """What a page needs to find a sample's tile and to say what it is."""
        return {
            "file": file,
            "tile": self.tile,
            "columns": self.columns,
            "ids": part.ids[self.rows].tolist(),
            "classes": texts_of(part.targets[self.rows], classes),
        }


def sheet(part: Part, rows: Int[np.ndarray, " n"], role: str) -> Sheet | None:
    """Thumbnails of the samples at ``rows``, the most frequent of them where there are too many.

    Args:
        part: the samples.
        rows: positions in it, in any order, more than once.
        role: which of its inputs to show.

    Returns:
        One JPEG with a tile for each; None where inputs are no images. Images of one or three channels are shown as
        they are, others as their channels' mean.
    """
    if len(part.input_shapes[role]) != 3 or len(rows) == 0:
        return None
    distinct, counts = np.unique(rows, return_counts=True)
    distinct = np.sort(distinct[np.argsort(-counts, kind="stable")[:MOST_TILES]])
    x = part.read(distinct)[role]
    assert isinstance(x, Tensor)
    x = x if x.shape[1] == 3 else x.mean(1, keepdim=True)
    side = min(max(x.shape[2:]), LARGEST_TILE)
    if tuple(x.shape[2:]) != (side, side):
        x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    columns = math.ceil(math.sqrt(len(distinct)))
    lines = math.ceil(len(distinct) / columns)
    # JPEG works in blocks of 8: where tiles end with them, no tile bleeds into the next.
    tile = -(-side // 8) * 8
    canvas = torch.zeros(lines * columns, x.shape[1], tile, tile)
    canvas[: len(x), :, :side, :side] = x
    canvas = canvas.reshape(lines, columns, -1, tile, tile).permute(0, 3, 1, 4, 2)
    pixels = (255 * canvas.clamp(0, 1)).round().to(torch.uint8).reshape(lines * tile, columns * tile, -1).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels).save(
        file, "JPEG", quality=88, subsampling=0
    )
    return Sheet(distinct, tile, columns, file.getvalue())


def all_rows(tops: Sequence[Int[Tensor, "neurons count"]]) -> Int[np.ndarray, " n"]:
    """Every row of every neuron's top samples."""
    return np.concatenate([top.reshape(-1).numpy() for top in tops]) if tops else np.empty(0, dtype=np.int64)
