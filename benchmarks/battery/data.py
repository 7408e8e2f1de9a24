"""The battery's data, from the folder of shared data: one npz for each set, seed and number of labels."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from battery.public import DIGITS

Arrays = dict[str, np.ndarray]
TEST = 1500
"""Test samples, at most: two standard errors are 2.5 points at 60 %, and seeds share them."""
TRAIN = 12_000
"""Training samples read, at most."""


def write_split(read: Callable[[], Arrays], path: Path, labels: int | None, seed: int) -> Path:
    """An npz with ``labels`` training samples of every class, drawn by ``seed``; all of them where it is None."""
    if path.exists():
        return path
    arrays = read()
    rows = np.arange(len(arrays["train_label"]))
    if labels is not None:
        shuffled = np.random.default_rng([seed, 20]).permutation(rows)
        kept = [shuffled[arrays["train_label"][shuffled] == c][:labels] for c in np.unique(arrays["train_label"])]
        rows = np.sort(np.concatenate(kept))
    content = {key: value[rows] if key.startswith("train") else value for key, value in arrays.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **content)
    return path


def _digits() -> Arrays:
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    images, labels = (16 * found.images[order] - (found.images[order] == 16)).astype(np.uint8), found.target[order]
    return _cut(images, labels, 1200)


def _digits_few() -> Arrays:
    arrays = _digits()
    return {key: value[arrays[f"{key.split('_')[0]}_label"] < 5] for key, value in arrays.items()}


def _parquet(folder: Path, side: int | None = None) -> Arrays:
    import pyarrow.parquet as pq

    def read(part: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
        table = pq.read_table(folder / f"{part}.parquet").slice(0, limit)
        images = [Image.open(io.BytesIO(row["bytes"])) for row in table.column(0).to_pylist()]
        if "fashion" in folder.name:
            images = [image.convert("L") for image in images]
        if side is not None:
            images = [image.resize((side, side), Image.Resampling.BOX) for image in images]
        return np.stack([np.asarray(image) for image in images]), np.array(table.column(1).to_pylist())

    (train, labels), (test, test_labels) = read("train", TRAIN), read("test", TEST)
    return {"train_image": train, "train_label": labels, "test_image": test, "test_label": test_labels}


def _tiny(shared: Path) -> Arrays:
    parts: dict[str, tuple[list[np.ndarray], list[int]]] = {"train": ([], []), "val": ([], [])}
    with zipfile.ZipFile(shared / "tiny_imagenet_20.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".JPEG"))
        classes = sorted({name.split("/")[-2] for name in names if "/train/" in name})
        for name in names:
            part, label = name.split("/")[-3:-1]
            image = Image.open(io.BytesIO(archive.read(name))).convert("RGB").resize((32, 32), Image.Resampling.BOX)
            parts[part][0].append(np.asarray(image))
            parts[part][1].append(classes.index(label))
    (train, labels), (test, test_labels) = parts["train"], parts["val"]
    return {
        "train_image": np.stack(train), "train_label": np.array(labels),
        "test_image": np.stack(test), "test_label": np.array(test_labels),
    }  # fmt: skip


def _view(shared: Path, number: int) -> Arrays:
    with np.load(shared / "handwritten_views" / "handwritten_views.npz") as held:
        order = np.random.default_rng(0).permutation(len(held["label"]))
        vectors, labels = held[f"view{number}"][order].astype(np.float32), held["label"][order].ravel().astype(np.int64)
    return _cut(vectors, labels - labels.min(), 1200)


def _sst2(shared: Path) -> Arrays:
    with np.load(shared / "glove" / "glove_twitter_25d.npz") as held:
        place = {word: index for index, word in enumerate(held["words"].tolist())}
        vectors = held["vectors"].astype(np.float32)

    def read(part: str) -> tuple[np.ndarray, np.ndarray]:
        rows, labels = [], []
        for line in (shared / "sst2" / f"{part}.tsv").read_text(encoding="utf-8").splitlines():
            sentence, _, label = line.rpartition("\t")
            if label.isdigit():
                known = [place[word] for word in sentence.lower().split() if word in place]
                words = vectors[known] if known else np.zeros((1, 25), np.float32)
                rows.append(np.concatenate([words.mean(0), words.max(0), words.min(0)]))
                labels.append(int(label))
        return np.stack(rows), np.array(labels)

    (train, labels), (test, test_labels) = read("train"), read("test")
    return {"train_image": train, "train_label": labels, "test_image": test[:TEST], "test_label": test_labels[:TEST]}


def _cut(samples: np.ndarray, labels: np.ndarray, train: int) -> Arrays:
    return {
        "train_image": samples[:train], "train_label": labels[:train],
        "test_image": samples[train:], "test_label": labels[train:],
    }  # fmt: skip


def _public() -> Arrays:
    with np.load(DIGITS) as held:
        return dict(held)


def sets(shared: Path) -> dict[str, Callable[[], Arrays]]:
    """Every set, by name."""
    return {
        "digits": _digits,
        "digits-few": _digits_few,
        "fashion": lambda: _parquet(shared / "fashion_mnist"),
        "cifar16": lambda: _parquet(shared / "cifar10", 16),
        "cifar32": lambda: _parquet(shared / "cifar10"),
        "tiny32": lambda: _tiny(shared),
        "view1": lambda: _view(shared, 1),
        "view3": lambda: _view(shared, 3),
        "sst2": lambda: _sst2(shared),
        "mnist": _public,
    }
