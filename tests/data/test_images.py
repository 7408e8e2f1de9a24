import io

import numpy as np
import pytest
import torch
from PIL import Image

from kantor.core.errors import ConfigError, DataError
from kantor.data import images
from kantor.data.checks import Checks
from kantor.data.images import load_images, resize
from kantor.data.parquet_images import TakenRows
from kantor.data.split import sample


def taken(*contents: bytes | None) -> TakenRows:
    return TakenRows(list(contents), [f"file-{i}" for i in range(len(contents))])


def decode(*contents: bytes | None, image_size: int | None = None) -> torch.Tensor:
    store = load_images({"train": taken(*contents)}, image_size, skip_corrupt=False).stores["train"]
    return store.read(np.arange(len(contents)))


def saved(image: Image.Image, kind: str = "png", **settings) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **settings)
    return content.getvalue()


def test_pixels_come_back_exactly_channels_first(image_bytes):
    content = image_bytes(3)
    expected = np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1)
    assert np.array_equal((decode(content)[0] * 255).round().numpy(), expected)


def test_more_images_than_a_chunk_keep_their_order(image_bytes):
    contents = [image_bytes(i, (3, 2)) for i in range(300)]
    values = decode(*contents)
    for i in (0, 127, 128, 299):
        assert torch.equal(values[i], decode(contents[i])[0])


def test_grey_only_if_every_image_of_every_part_is(image_bytes):
    grey, colour = image_bytes(0, grey=True), image_bytes(1)
    assert decode(grey, grey).shape == (2, 1, 5, 6)
    assert decode(grey, colour).shape == (2, 3, 5, 6)
    loaded = load_images({"train": taken(grey), "test": taken(colour)}, None, skip_corrupt=False)
    assert {store.shape for store in loaded.stores.values()} == {(3, 5, 6)}


def test_three_equal_channels_are_grey(image_bytes):
    grey = Image.open(io.BytesIO(image_bytes(0, grey=True)))
    assert torch.equal(decode(saved(grey.convert("RGB"), "webp", lossless=True)), decode(saved(grey)))


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_other_modes_become_rgb(mode, image_bytes):
    image = Image.open(io.BytesIO(image_bytes(0))).convert(mode)
    kind = "tiff" if mode == "CMYK" else "png"
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal((decode(saved(image, kind))[0] * 255).round().numpy(), expected)


def test_sixteen_bits_are_scaled_not_clipped():
    deep = Image.fromarray(np.array([[0, 257 * 10, 65535]], dtype=np.uint16))
    assert (decode(saved(deep)) * 255).round().flatten().tolist() == [0, 10, 255]


def test_image_size_cuts_the_centre_and_resizes():
    image = Image.new("RGB", (30, 10), "red")
    image.paste("blue", (10, 0, 20, 10))
    values = decode(saved(image), image_size=5)
    assert values.shape == (1, 3, 5, 5)
    assert torch.allclose(values[0, 2], torch.ones(5, 5))
    assert values[0, 0].max() == 0


def test_arrays_are_resized_alike(image_bytes):
    content = image_bytes(0, (40, 24))
    pixels = torch.from_numpy(np.asarray(Image.open(io.BytesIO(content))).copy()).permute(2, 0, 1)[None]
    from_file, from_array = (decode(content, image_size=9) * 255).round(), resize(pixels, 9).float()
    assert (from_file - from_array).abs().max() <= 1


def test_resizing_keeps_the_type():
    values = torch.zeros(2, 1, 4, 8, dtype=torch.uint8)
    values[:, :, :, 2:6] = 200
    assert torch.equal(resize(values, 2), torch.full((2, 1, 2, 2), 200, dtype=torch.uint8))
    assert resize(torch.rand(2, 1, 8, 8), 4).dtype == torch.float32


def test_different_sizes_name_two_files_and_the_remedy(image_bytes):
    with pytest.raises(DataError, match=r"file-0 is 6 x 5, file-2 is 7 x 5.*--image-size"):
        decode(image_bytes(0), image_bytes(1), image_bytes(2, (7, 5)))


def test_a_corrupt_image_is_named_or_left_out(image_bytes):
    good = image_bytes(0)
    bad = [b"", b"not an image", good[:40], None]
    with pytest.raises(DataError, match=r"file-1 .*file-2 .*file-3 .*file-4 .*--skip-corrupt"):
        decode(good, *bad)
    loaded = load_images({"train": taken(bad[0], good, *bad[1:])}, None, skip_corrupt=True)
    assert loaded.corrupt["train"].tolist() == [0, 2, 3, 4]
    assert [file.split()[0] for file in loaded.files] == ["file-0", "file-2", "file-3", "file-4"]


def test_nothing_readable_is_an_error():
    with pytest.raises(DataError, match=r"Not one image .* the first is file-0 \(no image of a format that is read\)"):
        decode(b"x", b"y")


def test_many_corrupt_images_are_counted(image_bytes):
    with pytest.raises(DataError, match="and 3 more"):
        decode(image_bytes(0), *[b"x"] * 8)


def test_impossible_size():
    with pytest.raises(ConfigError, match="--image-size 0"):
        decode(saved(Image.new("L", (2, 2))), image_size=0)


def test_a_large_part_is_decoded_on_demand_to_the_same_pixels(image_bytes, monkeypatch):
    contents = [image_bytes(i) for i in range(9)]
    kept = decode(*contents)
    encoded = taken(*contents)
    monkeypatch.setattr(images, "KEEP_BYTES", 9 * 3 * 6 * 5)
    store = load_images({"train": encoded}, None, skip_corrupt=False).stores["train"]
    assert store.on_demand
    rows = np.array([4, 0, 8])
    assert torch.equal(store.read(rows), kept[rows])
    before = store.digest(rows)
    assert before != store.digest(rows[::-1])
    encoded.content[0] = b"damaged"
    with pytest.raises(DataError, match="file-0"):
        store.read(rows)
    with pytest.raises(DataError, match="file-3"):
        encoded.content[3] = None
        load_images({"train": encoded}, None, skip_corrupt=False)


@pytest.fixture
def large(monkeypatch):
    """Parts of five images are large, of which two are looked at."""
    monkeypatch.setattr(images, "AT_ONCE", 4)
    monkeypatch.setattr(images, "LOOKED_AT", 2)


def not_looked_at(n: int) -> int:
    return next(k for k in range(n) if k not in sample(n, 2) and k > 0)


def test_of_a_large_part_a_sample_is_decoded_at_first(image_bytes, large):
    contents = [image_bytes(i) for i in range(9)]
    contents[not_looked_at(9)] = b"damaged"
    loaded = load_images({"train": taken(*contents)}, None, skip_corrupt=False)
    assert loaded.lazy == {"train": 9} and loaded.stores["train"].on_demand
    with pytest.raises(DataError, match=f"file-{not_looked_at(9)}"):
        loaded.stores["train"].read(np.arange(9))
    contents[sample(9, 2)[0]] = b"damaged"
    with pytest.raises(DataError, match=f"file-{sample(9, 2)[0]}"):
        load_images({"train": taken(*contents)}, None, skip_corrupt=False)


def test_what_is_left_out_of_a_large_part_is_known_as_it_is_opened(image_bytes, large):
    contents = [image_bytes(i) for i in range(9)]
    contents[not_looked_at(9)] = b"damaged"
    for _ in range(2):
        loaded = load_images({"train": taken(*contents)}, None, skip_corrupt=True)
        assert loaded.corrupt["train"].tolist() == [not_looked_at(9)]
        assert loaded.files[0].startswith(f"file-{not_looked_at(9)} (no image")


def test_colour_that_a_check_found_in_a_large_part_counts(image_bytes, large):
    contents = [image_bytes(i, grey=True) for i in range(9)]
    contents[not_looked_at(9)] = image_bytes(3)
    encoded = taken(*contents)
    store = load_images({"train": encoded}, None, skip_corrupt=False).stores["train"]
    assert store.shape == (1, 5, 6)
    with pytest.raises(DataError, match=f"file-{not_looked_at(9)} shows colour"):
        store.read(np.arange(9))
    Checks(encoded).complete()
    store = load_images({"train": encoded}, None, skip_corrupt=False).stores["train"]
    assert store.shape == (3, 5, 6) and len(store.read(np.arange(9))) == 9


def test_progress_reaches_the_total(image_bytes):
    told = []
    load_images(
        {"train": taken(image_bytes(0), image_bytes(1)), "test": taken(image_bytes(2))},
        None,
        skip_corrupt=False,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (3, 3)
