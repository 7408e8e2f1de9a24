"""Compressed images -> tensors: decoded in a thread pool, each checked once."""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64, Shaped, UInt8
from PIL import Image
from torch import Tensor

from kantor.core.cores import cores
from kantor.core.errors import ConfigError, DataError
from kantor.data.part import Progress
from kantor.data.pixels import opened
from kantor.data.source import Encoded
from kantor.data.store import InMemory, Store
from kantor.data.transforms import LARGEST_SIDE

KEEP_BYTES = 2 * 2**30
"""A part whose decoded pixels take less is kept decoded; a larger one is decoded batch by batch."""

# Of images that one thread decodes in one go. A batch is shared by all cores, so few; each chunk costs a hand-over.
_CHUNK = 16


@dataclass(frozen=True)
class Form:
    """What every image is made into."""

    channels: int
    height: int
    width: int
    fit: bool
    """Cut to a centred square and resized (bilinear, antialiased); otherwise each image must have it already."""
    example: str
    """The image it was read from, for messages."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels first."""
        return self.channels, self.height, self.width


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


def load_images(
    parts: Mapping[str, Encoded], image_size: int | None, *, skip_corrupt: bool, progress: Progress | None = None
) -> Loaded:
    """Decode and check every image of every part, to one shape: three channels unless every image is grey.

    Raises:
        ConfigError: an impossible ``image_size``.
        DataError: an image cannot be decoded and ``skip_corrupt`` is off, or sizes differ and no ``image_size`` is
            given; files are named.
    """
    form = _common_form(parts, image_size)
    try:
        return _load(parts, form, skip_corrupt, progress)
    except _ColourFoundError:
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


class OnDemand:
    """Images that are decoded whenever they are read."""

    on_demand = True

    def __init__(self, encoded: Encoded, form: Form, digests: UInt8[np.ndarray, "n 16"]):
        self.encoded, self.form, self.shape, self._digests = encoded, form, form.shape, digests

    def read(self, rows: Int64[np.ndarray, " batch"]) -> Float32[Tensor, "batch c h w"]:
        """The images at ``rows``, in [0, 1].

        Raises:
            DataError: one can no longer be decoded.
        """
        taken = np.empty((len(rows), *self.shape), dtype=np.uint8)
        bad, _, _ = _decode(self.encoded, rows, self.form, taken.__setitem__)
        if bad:
            raise DataError(f"Cannot decode {next(iter(bad.values()))}. It could be decoded when the data was opened.")
        return torch.from_numpy(taken).to(torch.float32).div_(255)

    def digest(self, rows: Int64[np.ndarray, " n"]) -> str:
        """SHA-256 of the shape and of each image's compressed bytes as they were when the data was opened."""
        digest = hashlib.sha256(f"{self.shape} {self.form.fit}".encode())
        digest.update(self._digests[rows].tobytes())
        return digest.hexdigest()


class _ColourFoundError(Exception):
    """An image shows colour, and one channel was thought to be enough."""


def _load(parts: Mapping[str, Encoded], form: Form, skip_corrupt: bool, progress: Progress | None) -> Loaded:
    stores: dict[str, Store] = {}
    corrupt: dict[str, Int64[np.ndarray, " bad"]] = {}
    files: list[str] = []
    deep: list[int] = []
    total, done = sum(len(encoded) for encoded in parts.values()), 0
    for name, encoded in parts.items():

        def tell(count: int, before: int = done) -> None:
            if progress is not None:
                progress(before + count, total)

        rows = np.arange(len(encoded))
        keep = len(encoded) * int(np.prod(form.shape)) < KEEP_BYTES
        pixels = np.empty((len(encoded) if keep else 0, *form.shape), dtype=np.uint8)
        put = pixels.__setitem__ if keep else None
        bad, digests, found = _decode(encoded, rows, form, put, tell=tell, digest=not keep)
        deep += found
        stores[name] = InMemory(torch.from_numpy(pixels)) if keep else OnDemand(encoded, form, digests)
        corrupt[name] = np.asarray(sorted(bad), dtype=np.int64)
        files += [bad[row] for row in sorted(bad)]
        done += len(encoded)
    if files and not skip_corrupt:
        more = f" and {len(files) - 5} more" if len(files) > 5 else ""
        raise DataError(
            f"Cannot decode {'; '.join(files[:5])}{more}. Replace or remove what is damaged, or leave it out with "
            "--skip-corrupt."
        )
    return Loaded(stores, corrupt, files, max(deep, default=None))


def _decode(
    encoded: Encoded,
    rows: Int64[np.ndarray, " n"],
    form: Form,
    put: Callable[[slice, UInt8[np.ndarray, "chunk c h w"]], None] | None,
    *,
    tell: Callable[[int], None] | None = None,
    digest: bool = False,
) -> tuple[dict[int, str], UInt8[np.ndarray, "digested 16"], list[int]]:
    """Decode ``rows`` in chunks; returns {position: file and reason} of the corrupt ones, a digest of each, and the
    largest number of each image of 16 bits."""
    bad: dict[int, str] = {}
    deep: list[int] = []
    digests = np.zeros((len(rows) if digest else 0, 16), dtype=np.uint8)

    def work(start: int) -> int:
        chunk = rows[start : start + _CHUNK]
        pixels = np.zeros((len(chunk), form.height, form.width, form.channels), dtype=np.uint8)
        for place, row in enumerate(chunk.tolist()):
            try:
                content = encoded.read(row)
                if digest:
                    digests[start + place] = np.frombuffer(hashlib.blake2b(content, digest_size=16).digest(), np.uint8)
                pixels[place] = _pixels(content, form, lambda row=row: encoded.describe(row), deep.append)
            except (DataError, _ColourFoundError, MemoryError):
                raise
            except Exception as error:  # a damaged file can make a decoder raise anything
                bad[start + place] = f"{encoded.describe(row)} ({str(error).strip() or type(error).__name__})"
        if put is not None:
            put(slice(start, start + len(chunk)), pixels.transpose(0, 3, 1, 2))
        return min(start + _CHUNK, len(rows))

    starts = range(0, len(rows), _CHUNK)
    if len(starts) <= 1:
        ends = map(work, starts)
        for end in ends:
            if tell is not None:
                tell(end)
        return bad, digests, deep
    pool = ThreadPoolExecutor(cores())
    try:
        for end in pool.map(work, starts):
            if tell is not None:
                tell(end)
    finally:
        pool.shutdown(cancel_futures=True)
    return bad, digests, deep


def _pixels(
    content: bytes, form: Form, describe: Callable[[], str], deep: Callable[[int], None]
) -> UInt8[np.ndarray, "h w c"]:
    image = opened(content, deep)
    if not form.fit and image.size != (form.width, form.height):
        raise DataError(
            f"Images differ in size: {form.example} is {form.width} x {form.height}, {describe()} is "
            f"{image.size[0]} x {image.size[1]}. Make them one size with --image-size, such as "
            f"--image-size {min(form.height, form.width)}."
        )
    if form.channels == 3:
        image = image.convert("RGB")
    elif image.mode != "L":
        # WebP and many JPEGs hold grey pixels as three equal channels.
        red, green, blue = image.split()
        if red.tobytes() != green.tobytes() or red.tobytes() != blue.tobytes():
            raise _ColourFoundError
        image = red
    if form.fit:
        left, top = (image.width - min(image.size)) // 2, (image.height - min(image.size)) // 2
        square = image.crop((left, top, left + min(image.size), top + min(image.size)))
        image = square.resize((form.width, form.height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(form.height, form.width, form.channels)


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
