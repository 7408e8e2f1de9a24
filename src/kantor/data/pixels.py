"""The bytes of one image file -> its pixels, as a person who looks at the file sees them."""

import functools
import io
from collections.abc import Callable

import numpy as np
from jaxtyping import Shaped
from PIL import ExifTags, Image

# Pillow's reader of PostScript runs another program on the file: what may be read is listed.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF"),
    *("ICO", "TGA", "PCX", "SGI", "QOI", "XBM"),
)
_GREY = ("1", "L", "LA", "La")
# Formats whose whole numbers of 16 bits Pillow spreads over the range of 16 bits, and keeps in 32.
_SPREAD = ("PNG", "PPM")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation of EXIF."""


def opened(content: bytes, deep: Callable[[int], None] | None = None) -> Image.Image:
    """The first frame of an image file: mode ``L`` where it is stored as grey, ``RGB`` otherwise.

    It is turned as its EXIF orientation says, and what is transparent lies on white. Pixels of 16 bits keep their
    upper 8; floating-point ones must lie in [0, 1], which becomes 0 to 255.

    Args:
        content: of the file.
        deep: told the largest number in an image of 16 bits.

    Raises:
        ValueError: numbers whose range the file does not say, or bands that are no colours.
        Exception: whatever a decoder raises at a damaged file.
    """
    try:
        file = Image.open(io.BytesIO(content), formats=_formats())
    except Image.UnidentifiedImageError:
        raise ValueError("no image of a format that is read") from None
    with file:
        file.load()
        return as_seen(file, deep)


def as_seen(image: Image.Image, deep: Callable[[int], None] | None = None) -> Image.Image:
    """An image that is open, as :func:`opened` gives one.

    Raises:
        ValueError: see there.
    """
    return _shallow(_upright(image), image.format, deep)


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)  # AVIF is not in every Pillow


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata says nothing of the pixels
        return image
    return image if turn is None else image.transpose(turn)


def _shallow(image: Image.Image, kind: str | None, deep: Callable[[int], None] | None) -> Image.Image:
    """Eight bits a channel, and nothing that is seen through."""
    if image.mode.startswith("I;16") or (image.mode == "I" and kind in _SPREAD):
        # Pillow's own conversion clips 16 bits to 8 instead of scaling them.
        numbers = np.asarray(image).astype(np.int64)
        if deep is not None:
            deep(int(numbers.max(initial=0)))
        return Image.fromarray((numbers >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "I":
        raise ValueError("whole numbers of 32 bits, whose range it does not say: save 8 or 16 bits")
    if image.mode == "F":
        return _from_floats(np.asarray(image))
    grey = image.mode in _GREY
    if image.has_transparency_data:
        image = _on_white(image.convert("RGBA"))
    return image.convert("L" if grey else "RGB")


def _from_floats(values: Shaped[np.ndarray, "h w"]) -> Image.Image:
    if not np.isfinite(values).all():
        raise ValueError("floating-point pixels that are not finite")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"floating-point pixels from {values.min():g} to {values.max():g}: only 0 to 1 is known to be black to "
            "white; scale them, or save 8 bits"
        )
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if image.getchannel("A").getextrema() == (255, 255):
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
