"""Compressed images -> pixels of one shape, decoded by a pool of threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from kantor.core.cores import cores
from kantor.core.errors import DataError
from kantor.data.pixels import opened
from kantor.data.source import Encoded

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


@dataclass
class Outcome:
    """What was found as images were decoded."""

    corrupt: dict[int, str] = field(default_factory=dict)
    """By position the file that holds no image, and the reason."""
    deepest: int | None = None
    """The largest number in images of 16 bits; None where there are none."""


class ColourFoundError(Exception):
    """An image shows colour, and one channel was thought to be enough."""

    def __init__(self, file: str):
        super().__init__(file)
        self.file = file


def decode(
    encoded: Encoded,
    rows: Int64[np.ndarray, " n"],
    form: Form,
    put: Callable[[slice, UInt8[np.ndarray, "chunk c h w"]], None] | None,
    tell: Callable[[int], None] | None = None,
) -> Outcome:
    """Decode the images at ``rows`` in chunks.

    Args:
        encoded: where they are read.
        rows: which.
        form: what each is made into.
        put: given the pixels of each chunk, and where in ``rows`` it lies.
        tell: told how many are done.

    Raises:
        ColourFoundError: an image shows colour, and the form has one channel.
        DataError: an image has another size than the form.
    """
    outcome = Outcome()
    deep: list[int] = []

    def work(start: int) -> int:
        chunk = rows[start : start + _CHUNK]
        pixels = np.zeros((len(chunk), form.height, form.width, form.channels), dtype=np.uint8)
        for place, row in enumerate(chunk.tolist()):
            try:
                pixels[place] = _pixels(encoded.read(row), form, lambda row=row: encoded.describe(row), deep.append)
            except (DataError, ColourFoundError, MemoryError):
                raise
            except Exception as error:  # a damaged file can make a decoder raise anything
                outcome.corrupt[start + place] = said_of(encoded, row, error)
        if put is not None:
            put(slice(start, start + len(chunk)), pixels.transpose(0, 3, 1, 2))
        return min(start + _CHUNK, len(rows))

    starts = range(0, len(rows), _CHUNK)
    with _mapped(len(starts)) as mapped:
        for end in mapped(work, starts):
            if tell is not None:
                tell(end)
    outcome.deepest = max(deep, default=None)
    return outcome


def said_of(encoded: Encoded, row: int, error: Exception) -> str:
    """A file that holds no image, and why."""
    return f"{encoded.describe(row)} ({str(error).strip() or type(error).__name__})"


@contextmanager
def _mapped(pieces: int) -> Iterator[Callable[..., Iterator[int]]]:
    """``map``, on all cores where there is more than one piece of work."""
    if pieces <= 1:
        yield map
        return
    pool = ThreadPoolExecutor(cores())
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


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
            raise ColourFoundError(describe())
        image = red
    if form.fit:
        left, top = (image.width - min(image.size)) // 2, (image.height - min(image.size)) // 2
        square = image.crop((left, top, left + min(image.size), top + min(image.size)))
        image = square.resize((form.width, form.height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(form.height, form.width, form.channels)
