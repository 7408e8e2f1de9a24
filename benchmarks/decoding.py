"""Images a second out of a folder, beside an ImageFolder-like reader with as many workers as cores.

    python benchmarks/decoding.py [--images 512] [--turns 5] [--out FILE.json]

Both read the same JPEG files of 500 x 400 in batches of 128, as float32 in [0, 1], cut to a centred square of 224
pixels or whole. The peer is a plain dataset that opens a file with Pillow, in a DataLoader with worker processes, as
torchvision's ImageFolder is used. They take turns; a turn is one epoch, and the ratio is the median over turns. The
target is a ratio of 1 or more.
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
SIZES = (224, None)


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


def draw(folder: Path, count: int) -> None:
    """Photographs enough for a decoder: smooth shapes with noise on them, two classes."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (25, 32, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((500, 400), Image.Resampling.BICUBIC), dtype=np.float32)
        pixels = (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
        place = folder / "train" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number:04d}.jpg", quality=90)


def rate(batches: Iterator[int]) -> float:
    start = time.perf_counter()
    return sum(batches) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images.KEEP_BYTES = 0  # as where the decoded pixels do not fit into memory
    workers, rows = len(os.sched_getaffinity(0)), []
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name), options.images)
        for size in SIZES:
            data = open_data(name, image_size=size, validation=0.0)
            ours = Loader(data.train, BATCH, seed=0, augment=Augment.named("none"), drop_last=False)
            files = sorted(Path(name).rglob("*.jpg"))[: len(data.train)]
            theirs = DataLoader(Folder(files, size), BATCH, shuffle=True, num_workers=workers, persistent_workers=True)
            sum(len(x) for x, _ in theirs)  # its workers start
            rates: list[tuple[float, float]] = []
            for turn in range(options.turns):
                kantor = rate(len(batch) for batch in ours.epoch(turn))
                rates.append((kantor, rate(len(x) for x, _ in theirs)))
            ratio = statistics.median(a / b for a, b in rates)
            mine, peer = (statistics.median(column) for column in zip(*rates, strict=True))
            rows.append({"size": size, "workers": workers, "kantor": mine, "peer": peer, "ratio": ratio})
            print(f"{size or 'whole'}: {mine:.0f} images/s, the peer {peer:.0f}, ratio {ratio:.2f}", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
