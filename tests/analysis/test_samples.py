import io

import numpy as np
import torch
from PIL import Image

from kantor.analysis import samples as module
from kantor.analysis import top_samples
from kantor.analysis.samples import all_rows, sheet
from kantor.data import Part
from kantor.data.store import InMemory


def part_of(values: torch.Tensor) -> Part:
    n = len(values)
    store = InMemory(values)
    return Part("test", 100 + np.arange(n), np.arange(n) % 2, n + 100, {"student": store}, np.arange(n))


def test_top_samples_strongest_first():
    x = torch.tensor([[0.0, 5.0], [3.0, 1.0], [2.0, 5.0], [-1.0, 0.0]])
    assert top_samples(x, 3).tolist() == [[1, 2, 0], [0, 2, 1]]
    assert top_samples(x, 99).shape == (2, 4)
    assert all_rows([top_samples(x, 1)]).tolist() == [1, 0]


def test_every_sample_has_its_tile():
    grey = (torch.arange(12) * 20).to(torch.uint8)
    made = sheet(
        part_of(grey[:, None, None, None].expand(12, 3, 10, 10).contiguous()), np.array([3, 9, 3, 5]), "student"
    )
    assert made is not None
    facts = made.facts(part_of(torch.zeros(12, 3, 10, 10)), "samples.jpg", ["even", "odd"])
    assert facts["ids"] == [103, 105, 109]
    assert facts["classes"] == ["odd", "odd", "odd"]
    pixels = np.asarray(Image.open(io.BytesIO(made.image))).astype(int)
    assert pixels.shape == (2 * made.tile, 2 * made.tile, 3)
    for k, row in enumerate([3, 5, 9]):
        line, column = divmod(k, made.columns)
        tile = pixels[line * made.tile :, column * made.tile :][:8, :8]
        assert np.abs(tile - 20 * row).max() < 6


def test_other_channels_and_sizes():
    grey = sheet(part_of(torch.rand(3, 2, 96, 64)), np.arange(3), "student")
    assert grey is not None
    assert grey.tile == module.LARGEST_TILE
    assert Image.open(io.BytesIO(grey.image)).mode == "L"
    assert sheet(part_of(torch.rand(3, 7)), np.arange(3), "student") is None


def test_the_most_frequent_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST_TILES", 2)
    made = sheet(part_of(torch.rand(6, 1, 8, 8)), np.array([4, 1, 1, 5, 5, 0]), "student")
    assert made is not None
    assert made.rows.tolist() == [1, 5]
