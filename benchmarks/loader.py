"""Images a second out of a folder, beside an ImageFolder-like reader with as many workers as cores.

    python benchmarks/loader.py [--share 1] [--turns 5] [--out FILE.json]

Three times the same JPEG files are read by both in batches of 128, as float32 in [0, 1]: 10,000 of 64 x 64 whole, and
2,000 of 500 x 400 cut to a centred square of 224 pixels, and whole. None are kept decoded, as where they do not fit
into memory. The peer is a plain data set that opens a file with Pillow, in a DataLoader with worker processes, as
torchvision's ImageFolder is used. They take turns; a turn is one epoch, and the ratio is the median over turns. The
target is a ratio of 1 or more. ``--share .2`` draws a fifth of the images.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from kantor.data import Augment, Loader, images, open_data

BATCH = 128
SETS = ((10_000, (64, 64), (None,)), (2_000, (500, 400), (224, None)))
"""How many images, their width and height, and the sides that they are resized to."""


class Folder(Dataset[tuple[torch.Tensor, int]]):
    """What ImageFolder does, with the transforms that most use."""

    def __init__(self, files: list[Path], size: int | None):
        self.files, self.size = files, size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with self.files[index].open("rb") as file:
            image = Image.open(file).convert("RGB")
        if self.size is not None:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side)).resize((self.size,) * 2, Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return pixels.to(torch.float32).div(255), 0


def draw(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Photographs enough for a decoder: smooth shapes with noise on them, two classes."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 8, (size[1], size[0], 3))
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
        pixels = (smooth + np.roll(noise, number, axis=0)).clip(0, 255).astype(np.uint8)
        place = folder / "train" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number:05d}.jpg", quality=90)


def rate(batches: Iterator[int]) -> float:
    """Images a second."""
    start = time.perf_counter()
    return sum(batches) / (time.perf_counter() - start)


def compared(folder: Path, size: int | None, turns: int) -> dict[str, float]:
    """Images a second of both on one folder, and their ratio, as medians over turns."""
    data = open_data(folder, image_size=size, validation=0.0)
    ours = Loader(data.train, BATCH, seed=0, augment=Augment.named("none"), drop_last=False)
    files = sorted(folder.rglob("*.jpg"))[: len(data.train)]
    workers = len(os.sched_getaffinity(0))
    theirs = DataLoader(Folder(files, size), BATCH, shuffle=True, num_workers=workers, persistent_workers=True)
    sum(len(x) for x, _ in theirs)  # its workers start
    rates: list[tuple[float, float]] = []
    for turn in range(turns):
        mine = rate(len(batch) for batch in ours.epoch(turn))
        rates.append((mine, rate(len(x) for x, _ in theirs)))
    mine, peer = (statistics.median(column) for column in zip(*rates, strict=True))
    return {"workers": workers, "kantor": mine, "peer": peer, "ratio": statistics.median(a / b for a, b in rates)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images.KEEP_BYTES = 0
    rows = []
    for count, drawn, sizes in SETS:
        with tempfile.TemporaryDirectory() as name:
            draw(Path(name), int(count * options.share), drawn)
            for size in sizes:
                row = compared(Path(name), size, options.turns)
                rows.append({"drawn": drawn, "size": size, **row})
                print(
                    f"{drawn[0]} x {drawn[1]}, {size or 'whole'}: {row['kantor']:.0f} images/s, the peer "
                    f"{row['peer']:.0f}, ratio {row['ratio']:.2f}",
                    flush=True,
                )
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
