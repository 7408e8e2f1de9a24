"""The fixed samples that plans are recorded on, and small pictures of them for the report."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

from kantor.core.files import write_with
from kantor.data import DataSet, Part
from kantor.data.part import sample
from kantor.data.views import ROLES

SAMPLES = 512
SIDE = 48
"""Pixels of a thumbnail's longer side; smaller images stay as they are."""


def samples_for_plans(data: DataSet, largest: int = SAMPLES) -> Part:
    """Some samples of the validation part, or of the training part where there is none with what teachers see."""
    held = data.validation
    return sample(data.train if held is None or held.stores.keys() != data.train.stores.keys() else held, largest)


def write_samples(path: Path, part: Part) -> None:
    """Write who the samples are, as npz: ``ids``, ``targets`` and the part's ``fingerprint``, and thumbnails
    where they are images.

    Thumbnails are by role, ``student`` and, where it sees something else, ``teacher``, or ``teacher/NAME`` of
    teachers that see different things: ``[samples, height, width, channels]`` with one channel (grey) or three.
    """
    arrays = {"ids": part.ids, "targets": part.targets, "fingerprint": np.array(part.fingerprint)}
    seen = part.read(np.arange(len(part)))
    for role, images in seen.items():
        shown = role == "student" or images is not seen["student"]
        if shown and isinstance(images, Tensor) and images.ndim == 4 and images.shape[1] in (1, 3):
            arrays[role if role in ROLES else f"teacher/{role}"] = _thumbnails(images)
    # pyright takes the names for savez's own keyword; they are array names.
    write_with(path, lambda file: np.savez_compressed(file, **arrays))  # pyright: ignore[reportArgumentType]


def _thumbnails(images: Float32[Tensor, "n c h w"]) -> UInt8[np.ndarray, "n small_h small_w c"]:
    longest = max(images.shape[2:])
    if longest > SIDE:
        size = [max(1, round(side * SIDE / longest)) for side in images.shape[2:]]
        images = F.interpolate(images, size, mode="area")
    if images.min() < 0:  # normalised already: seen from the darkest to the brightest of them
        images = (images - images.min()) / (images.max() - images.min())
    return (255 * images.clamp(0, 1)).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
