"""Compressed images -> tensors: a small part is decoded at once, a large one as it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int64, Shaped
from torch import Tensor

from kantor.core.errors import ConfigError, DataError
from kantor.data.checks import COLOUR, CORRUPT, Checks
from kantor.data.decoding import ColourFoundError, Form, Outcome, decode
from kantor.data.on_demand import OnDemand
from kantor.data.part import Progress
from kantor.data.pixels import opened
from kantor.data.source import Encoded
from kantor.data.split import sample
from kantor.data.store import InMemory, Store
from kantor.data.transforms import LARGEST_SIDE

KEEP_BYTES = 2 * 2**30
"""A part whose decoded pixels take less is kept decoded; a larger one is decoded batch by batch."""
AT_ONCE = 100_000
"""A part of no more images, whose decoded pixels are kept, is decoded as it is opened."""
LOOKED_AT = 128
"""Images of a larger part that are decoded as it is opened: the same ones every time."""


@dataclass(frozen=True)
class Loaded:
    """The decoded parts, and what could not be decoded."""

    stores: Mapping[str, Store]
    corrupt: Mapping[str, Int64[np.ndarray, " bad"]]
    """Rows of each part that hold no image."""
    files: list[str]
    """Their files, each with the reason."""
    deepest: int | None
    """The largest number in images of 16 bits; None where there are none."""
    lazy: dict[str, int] = field(default_factory=dict)
    """Images of each part that are decoded as they are read."""


def load_images(
    parts: Mapping[str, Encoded], image_size: int | None, *, skip_corrupt: bool, progress: Progress | None = None
) -> Loaded:
    """Images of every part in one shape: three channels unless every image is grey.

    A part that is small is decoded and checked now. Of a large one a sample is; every other image is checked as it is
    read, or, where damaged ones are to be left out, now: what is left out must be the same ever after.

    Raises:
        ConfigError: an impossible ``image_size``.
        DataError: an image cannot be decoded and ``skip_corrupt`` is off, or sizes differ and no ``image_size`` is
            given; files are named.
    """
    form = _common_form(parts, image_size)
    try:
        return _load(parts, form, skip_corrupt, progress)
    except ColourFoundError:
        return _load(parts, replace(form, channels=3), skip_corrupt, progress)


def resize(images: Shaped[Tensor, "n c h w"], size: int | None) -> Shaped[Tensor, "n c _ _"]:
    """Decoded images, cut to a centred square and resized (bilinear, antialiased), in their own type.

    Raises:
        ConfigError: an impossible ``size``.
    """
    if size is None:
        return images
    side = min(images.shape[-2:])
    top, left = (images.shape[-2] - side) // 2, (images.shape[-1] - side) // 2
    square = images[:, :, top : top + side, left : left + side].to(torch.float32)
    resized = F.interpolate(square, (_checked(size),) * 2, mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8) if images.dtype == torch.uint8 else resized


def _load(parts: Mapping[str, Encoded], form: Form, skip_corrupt: bool, progress: Progress | None) -> Loaded:
    loaded = Loaded({}, {}, [], None)
    stores: dict[str, Store] = {}
    corrupt: dict[str, Int64[np.ndarray, " bad"]] = {}
    files: list[str] = []
    deep: list[int] = []
    total, done = sum(len(encoded) for encoded in parts.values()), 0
    for name, encoded in parts.items():

        def tell(count: int, before: int = done) -> None:
            if progress is not None:
                progress(before + count, total)

        keep = len(encoded) * int(np.prod(form.shape)) < KEEP_BYTES
        if keep and len(encoded) <= AT_ONCE:
            pixels = np.empty((len(encoded), *form.shape), dtype=np.uint8)
            found = decode(encoded, np.arange(len(encoded)), form, pixels.__setitem__, tell)
            stores[name] = InMemory(torch.from_numpy(pixels))
        else:
            found = _looked_at(encoded, form, skip_corrupt, tell)
            stores[name] = OnDemand(encoded, form, keep=keep)
            loaded.lazy[name] = len(encoded)
        deep += [] if found.deepest is None else [found.deepest]
        corrupt[name] = np.asarray(sorted(found.corrupt), dtype=np.int64)
        files += [found.corrupt[row] for row in sorted(found.corrupt)]
        done += len(encoded)
    if files and not skip_corrupt:
        more = f" and {len(files) - 5} more" if len(files) > 5 else ""
        raise DataError(
            f"Cannot decode {'; '.join(files[:5])}{more}. Replace or remove what is damaged, or leave it out with "
            "--skip-corrupt."
        )
    return replace(loaded, stores=stores, corrupt=corrupt, files=files, deepest=max(deep, default=None))


def _looked_at(encoded: Encoded, form: Form, skip_corrupt: bool, tell: Callable[[int], None]) -> Outcome:
    """What a sample of a large part says of it, and, where it is to be known, which of all its images are damaged."""
    rows = sample(len(encoded), LOOKED_AT)
    found = decode(encoded, rows, form, None)
    corrupt = {int(rows[place]): said for place, said in found.corrupt.items()}
    if skip_corrupt or form.channels == 1:
        checks = Checks(encoded)
        if skip_corrupt:
            checks.complete(lambda done, _: tell(done), colour=form.channels == 1)
            corrupt = {int(row): checks.reasons[row] for row in np.flatnonzero(checks.flags & CORRUPT).tolist()}
        shows = np.flatnonzero(checks.flags & COLOUR)
        if form.channels == 1 and len(shows):
            raise ColourFoundError(encoded.describe(int(shows[0])))
    tell(len(encoded))
    return Outcome(corrupt, found.deepest)


def _common_form(parts: Mapping[str, Encoded], image_size: int | None) -> Form:
    """From the first image that can be read. One channel: whether an image shows colour is seen on decoding."""
    why = ""
    for encoded in parts.values():
        for row in range(len(encoded)):
            try:
                width, height = opened(encoded.read(row)).size
            except Exception as error:  # reported when it is decoded
                why = why or str(error).strip() or type(error).__name__
                continue
            if image_size is None:
                return Form(1, height, width, False, encoded.describe(row))
            return Form(1, _checked(image_size), image_size, True, encoded.describe(row))
    first = next(encoded.describe(0) for encoded in parts.values() if len(encoded))
    raise DataError(f"Not one image can be read; the first is {first} ({why}).")


def _checked(size: int) -> int:
    if not 1 <= size <= LARGEST_SIDE:
        raise ConfigError(f"--image-size {size} is not a number of pixels from 1 to {LARGEST_SIDE}.")
    return size
