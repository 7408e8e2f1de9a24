"""Seconds and memory to open a folder of many images, first without and then from what is known of it.

    python benchmarks/open_data.py [--files 20000,200000,1280000] [--out FILE.json] [--folder DIR]

The files are JPEGs of 8 pixels in a thousand class folders, made for it and removed afterwards. Each opening is a
process of its own, so that imports count, and so does the fingerprint that a run begins with. Cold is without the
listing that is kept for the user; the operating system may still know the folders. The targets for 1.28 million files
are 60 s cold, 5 s warm and 1 GB.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

CLASSES = 1000
_OPEN = """
import resource, sys, time
from kantor.data import open_data
data = open_data(sys.argv[1], validation=0.02)
opened = time.perf_counter()
data.train.fingerprint
print(len(data.train), time.perf_counter() - opened, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
"""


def draw(folder: Path, count: int) -> None:
    """So many files, in class folders."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 10)).save(content, "JPEG")
    for number in range(CLASSES):
        place = folder / "train" / f"n{number:08d}"
        place.mkdir(parents=True)
        for k in range(count // CLASSES):
            (place / f"n{number:08d}_{k}.JPEG").write_bytes(content.getvalue())


def opened(folder: Path, cache: Path) -> tuple[float, float, float]:
    """Seconds of a whole process, of them those of the fingerprint, and its largest memory in MB."""
    begun = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-c", _OPEN, str(folder)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return time.perf_counter() - begun, float(told[1]), float(told[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", default="20000,200000,1280000")
    parser.add_argument("--folder", type=Path, help="where the files are made")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    print("|     files | cold, s | warm, s | of it the fingerprint | peak MB |\n|---|---|---|---|---|")
    for count in map(int, options.files.split(",")):
        with tempfile.TemporaryDirectory(dir=options.folder) as images, tempfile.TemporaryDirectory() as cache:
            draw(Path(images), count)
            time.sleep(3)  # what was written a moment ago is not kept
            cold = opened(Path(images), Path(cache))
            warm = min(opened(Path(images), Path(cache)) for _ in range(2))
        peak = max(cold[2], warm[2])
        rows.append({"files": count, "cold": cold[0], "warm": warm[0], "fingerprint": warm[1], "peak_mb": peak})
        print(f"| {count:>9,} | {cold[0]:.1f} | {warm[0]:.1f} | {warm[1]:.1f} | {peak:.0f} |", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
