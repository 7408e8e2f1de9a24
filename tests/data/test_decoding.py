import numpy as np
import pytest

from kantor.core.errors import DataError
from kantor.data.decoding import ColourFoundError, Form, decode
from kantor.data.parquet_images import TakenRows

COLOUR, GREY = Form(3, 5, 6, False, "the first"), Form(1, 5, 6, False, "the first")


def taken(*contents: bytes | None) -> TakenRows:
    return TakenRows(list(contents), [f"file-{i}" for i in range(len(contents))])


def test_each_chunk_lands_in_its_place_and_damage_is_counted_from_there(image_bytes):
    contents = [image_bytes(k) for k in range(40)]
    contents[35] = b"damaged"
    rows = np.arange(39, -1, -1)
    pixels = np.zeros((40, 3, 5, 6), np.uint8)
    told = []
    found = decode(taken(*contents), rows, COLOUR, pixels.__setitem__, told.append)
    assert list(found.corrupt) == [4] and found.corrupt[4].startswith("file-35 (") and found.deepest is None
    assert sorted(told)[-1] == 40 and not pixels[4].any()
    alone = np.zeros((1, 3, 5, 6), np.uint8)
    decode(taken(contents[7]), np.array([0]), COLOUR, alone.__setitem__)
    assert np.array_equal(pixels[32], alone[0])


def test_another_size_and_colour_are_said_at_once(image_bytes):
    with pytest.raises(DataError, match="the first is 6 x 5, file-1 is 7 x 5"):
        decode(taken(image_bytes(0), image_bytes(1, (7, 5))), np.arange(2), COLOUR, None)
    with pytest.raises(ColourFoundError, match="file-1"):
        decode(taken(image_bytes(0, grey=True), image_bytes(1)), np.arange(2), GREY, None)
