import io

import numpy as np
import pytest
from PIL import Image

from kantor.data.pixels import opened

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str = "png", **settings) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **settings)
    return content.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(opened(content))


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (1, PIXELS),
        (2, PIXELS[:, ::-1]),
        (3, PIXELS[::-1, ::-1]),
        (4, PIXELS[::-1]),
        (5, PIXELS.transpose(1, 0, 2)),
        (6, PIXELS.transpose(1, 0, 2)[:, ::-1]),
        (7, PIXELS.transpose(1, 0, 2)[::-1, ::-1]),
        (8, PIXELS.transpose(1, 0, 2)[::-1]),
    ],
)
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_an_image_is_turned_as_its_exif_says(turn, expected, kind):
    exif = Image.Exif()
    exif[0x0112] = turn
    assert np.array_equal(pixels(saved(Image.fromarray(PIXELS), kind, exif=exif)), expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_says_nothing_of_the_pixels():
    content = saved(Image.fromarray(PIXELS), "jpeg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    plain = saved(Image.fromarray(PIXELS), "jpeg")
    assert np.array_equal(pixels(content), pixels(plain))


@pytest.mark.parametrize("kind", ["bmp", "gif", "tiff", "webp", "ppm", "tga", "jpeg2000"])
def test_formats(kind):
    settings = {"lossless": True} if kind == "webp" else {}
    flat = Image.new("RGB", (6, 4), (255, 0, 0))
    assert np.array_equal(pixels(saved(flat, kind, **settings)), np.asarray(flat))


@pytest.mark.parametrize("kind", ["gif", "webp", "tiff", "png"])
def test_of_several_frames_the_first_is_read(kind):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    settings = {"lossless": True} if kind == "webp" else {}
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **settings)
    assert np.array_equal(pixels(content), np.asarray(frames[0]))


def test_what_is_transparent_lies_on_white():
    alpha = np.array([[0, 255, 128]], dtype=np.uint8)
    seen = Image.merge("RGBA", [Image.fromarray(np.zeros_like(alpha))] * 3 + [Image.fromarray(alpha)])
    assert pixels(saved(seen))[0, :, 0].tolist() == [255, 0, 127]
    grey = Image.merge("LA", [Image.fromarray(np.zeros_like(alpha)), Image.fromarray(alpha)])
    assert opened(saved(grey)).mode == "L" and pixels(saved(grey))[0].tolist() == [255, 0, 127]
    palette = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "L").convert("P")
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert pixels(saved(palette, transparency=0))[0].tolist() == [[255] * 3, [10, 20, 30]]
    opaque = Image.fromarray(np.dstack([PIXELS, np.full((4, 6), 255, np.uint8)]))
    assert np.array_equal(pixels(saved(opaque)), PIXELS)


def test_sixteen_bits_keep_their_upper_eight():
    deep = Image.fromarray(np.array([[0, 2570, 65535]], dtype=np.uint16))
    for kind in ("png", "tiff", "ppm"):
        assert pixels(saved(deep, kind))[0].tolist() == [0, 10, 255]


def test_floating_point_pixels_run_from_black_to_white():
    assert pixels(saved(Image.fromarray(np.array([[0, 0.2, 1]], dtype=np.float32)), "tiff"))[0].tolist() == [0, 51, 255]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 255]], np.float32), "floating-point pixels from 0 to 255.*scale them"),
        (np.array([[0, np.nan]], np.float32), "not finite"),
        (np.array([[0, 300]], np.int32), "whole numbers of 32 bits"),
    ],
)
def test_numbers_of_no_known_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        opened(saved(Image.fromarray(values), "tiff"))


def test_a_file_runs_no_other_program():
    with pytest.raises(ValueError, match="no image of a format that is read"):
        opened(saved(Image.fromarray(PIXELS), "eps"))
