"""Seconds and memory to open a folder of many images, first without and then from what is known of it.

    python benchmarks/open_data.py [--files 20000,200000,1280000] [--out FILE.json] [--folder DIR]

The files are JPEGs of 8 pixels in a thousand class folders, made for it and removed afterwards. Each opening is a
process of its own, and the fingerprint that a run begins with is part of it; imports are not. Cold is without the
listing that is kept for the user; the operating system may still know the folders. Seconds of the processor stand
beside those of the clock, for machines that others share. The targets for 1.28 million
files are 60 s cold, 5 s warm and 1 GB.
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
begun, cpu = time.perf_counter(), time.process_time()
data = open_data(sys.argv[1], validation=0.02)
data.train.fingerprint
print(time.perf_counter() - begun, time.process_time() - cpu)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
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
    """Seconds of an opening, as a clock and as a processor count them, and the largest memory in MB."""
    told = subprocess.run(
        [sys.executable, "-c", _OPEN, str(folder)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    seconds, processor, peak = map(float, told)
    return seconds, processor, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", default="20000,200000,1280000")
    parser.add_argument("--folder", type=Path, help="where the files are made")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    print(
        "|     files | cold, s | of the processor | warm, s | of the processor | peak MB |\n|---|---|---|---|---|---|"
    )
    for count in map(int, options.files.split(",")):
        with tempfile.TemporaryDirectory(dir=options.folder) as images, tempfile.TemporaryDirectory() as cache:
            draw(Path(images), count)
            time.sleep(3)  # what was written a moment ago is not kept
            cold = opened(Path(images), Path(cache))
            warm = min(opened(Path(images), Path(cache)) for _ in range(2))
        peak = max(cold[2], warm[2])
        seconds = {"cold": cold[0], "cold_cpu": cold[1], "warm": warm[0], "warm_cpu": warm[1]}
        rows.append({"files": count, **seconds, "peak_mb": peak})
        print(f"| {count:>9,} | {' | '.join(f'{x:.1f}' for x in seconds.values())} | {peak:.0f} |", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
