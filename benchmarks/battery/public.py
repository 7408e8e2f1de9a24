"""A network and digits that somebody else published, for the case ``mnist-public``.

    git clone https://github.com/cazala/mnist && git clone https://github.com/sidak/otfusion
    python -P benchmarks/battery/public.py mnist/src/digits otfusion/mnist_models.zip

OTFusion's perceptron was trained on all of MNIST, of which the other repository holds 10,000 images; the battery draws
its labels from 6,000 of them, and tests on the rest. Images are put as the network's owner gives them to it: mean .1307
and deviation .3081.
"""

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[2] / "runs" / "battery" / "public"
DIGITS, PERCEPTRON = FOLDER / "mnist.npz", FOLDER / "perceptron.safetensors"
TRAIN = 6000


def main(digits: Path, models: Path) -> None:
    """Write both into the battery's folder.

    Args:
        digits: folder of ``0.json`` to ``9.json``, each a list of images one after the other.
        models: OTFusion's zip of two trained perceptrons.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    images = [np.array(json.loads((digits / f"{d}.json").read_text())["data"], np.float32) for d in range(10)]
    images = [rows.reshape(-1, 784) for rows in images]
    labels = np.repeat(np.arange(10), [len(rows) for rows in images])
    order = np.random.default_rng(0).permutation(len(labels))
    vectors, labels = ((np.concatenate(images) - 0.1307) / 0.3081).astype(np.float32)[order], labels[order]
    np.savez(
        DIGITS,
        train_image=vectors[:TRAIN], train_label=labels[:TRAIN], test_image=vectors[TRAIN:], test_label=labels[TRAIN:],
    )  # fmt: skip
    with zipfile.ZipFile(models) as archive:
        raw = archive.read("mnist_models/model_0/final.checkpoint")
    kept = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)["model_state_dict"]
    save_file({name: tensor.contiguous() for name, tensor in kept.items()}, PERCEPTRON)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
