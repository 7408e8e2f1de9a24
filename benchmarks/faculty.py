"""CPU seconds to rank many teachers from cached outputs, for each score: 100 teachers, 5,000 samples, 200 resamples.

    python benchmarks/faculty.py [--teachers 100] [--samples 5000] [--scores transport,leep]

Networks with random weights and a hundred classes; the first ranking spends the forward passes and is not timed.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from kantor import load
from kantor.faculty import Rank, rank_teachers
from kantor.faculty.scores import SCORES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teachers", type=int, default=100)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--scores", default=",".join(name for name in SCORES if name != "otce"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [f"teacher class {k}" for k in range(options.classes)]
        labels = np.array([f"class {k % 10}" for k in range(options.samples)])
        arrays = {"x_train": random.integers(0, 255, (options.samples, 8, 8), dtype=np.uint8), "y_train": labels}
        np.savez(folder / "data.npz", x_test=arrays["x_train"][:10], y_test=labels[:10], **arrays)
        words = sorted({word for text in [*names, *labels] for word in text.split()})
        np.savez(folder / "words.npz", words=words, vectors=random.standard_normal((len(words), 50)))
        for k in range(options.teachers):
            torch.manual_seed(k)
            load("cnn@width=64", classes=names, input_shape=(1, 8, 8)).save(folder / f"t{k}.safetensors")
        teachers = ",".join(str(folder / f"t{k}.safetensors") for k in range(options.teachers))

        def seconds(scores: str, resamples: int) -> float:
            start = time.process_time()
            rank_teachers(
                Rank(
                    data=str(folder / "data.npz"),
                    teachers=teachers,
                    label_cost=f"glove:{folder / 'words.npz'}",
                    scores=scores,
                    bootstrap=resamples,
                    out=str(folder / "ranking"),
                )
            )
            return time.process_time() - start

        seconds("transport", 0)
        print(
            f"{options.teachers} teachers of {options.classes} classes, {options.samples} samples, "
            f"{options.resamples} resamples, one thread; loading and looking up included"
        )
        for score in options.scores.split(","):
            print(f"{score:20s} {seconds(score, options.resamples):8.1f} s", flush=True)


if __name__ == "__main__":
    main()
