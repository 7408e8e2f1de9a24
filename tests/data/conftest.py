"""Small data sets, made on the spot."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kantor.data.part import Part
from kantor.data.store import InMemory


def picture(seed: int, size: tuple[int, int] = (6, 5), *, grey: bool = False) -> Image.Image:
    shape = (size[1], size[0]) if grey else (size[1], size[0], 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "png") -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


@pytest.fixture
def make_part() -> Callable[..., Part]:
    def make(n: int = 24, shape: tuple[int, ...] = (3, 8, 8), *, keep: list[int] | None = None, seed: int = 0) -> Part:
        """A training part of random images; with ``keep``, of those source rows alone."""
        pixels = np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)
        store = InMemory(torch.from_numpy(pixels))
        rows = np.arange(n) if keep is None else np.asarray(keep, dtype=np.int64)
        return Part("train", rows, rows % 3, n, {"student": store, "teacher": store}, rows)

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Class folders cat and dog, ten and six colour images, and a train folder above them."""
    root = tmp_path / "pets"
    for seed, (name, count) in enumerate((("cat", 10), ("dog", 6))):
        place = root / "train" / name
        place.mkdir(parents=True)
        for k in range(count):
            ending = (".png", ".PNG", ".Png")[k % 3]
            (place / f"{k:02d}{ending}").write_bytes(encoded(picture(100 * seed + k)))
    return root


@pytest.fixture
def image_bytes() -> Callable[..., bytes]:
    def make(seed: int = 0, size: tuple[int, int] = (6, 5), *, grey: bool = False, kind: str = "png") -> bytes:
        return encoded(picture(seed, size, grey=grey), kind)

    return make
