"""A task and a faculty for it: teachers trained for a moment, one of them on what the task is made of."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from kantor.models import load

WORDS = ["cat", "dog", "wolf", "fox", "car", "truck", "bus", "van"]
"""Animals, then vehicles."""


def vectors(path: Path) -> Path:
    """Word vectors in which animals lie together and vehicles do."""
    r = np.random.default_rng(0)
    groups = np.repeat(np.eye(2), 4, axis=0)
    np.savez(path, words=WORDS, vectors=np.concatenate([3 * groups, r.standard_normal((8, 6))], axis=1))
    return path


def images(label: int, count: int, seed: int) -> np.ndarray:
    """Class patterns in noise; animals share one pattern, vehicles another, and each has its own beside it."""
    base = np.random.default_rng(100 + label // 4).standard_normal((8, 8))
    own = np.random.default_rng(200 + label).standard_normal((8, 8))
    noise = np.random.default_rng((seed, label)).standard_normal((count, 8, 8))
    return np.clip(128 + 25 * (base + own + 0.7 * noise), 0, 255).astype(np.uint8)


def task(path: Path, words: list[str], count: int = 30, seed: int = 0) -> Path:
    """A data set of these classes."""
    arrays = {}
    for part, number, offset in (("train", count, 0), ("test", 40, 1000)):
        arrays[f"x_{part}"] = np.concatenate([images(WORDS.index(w), number, seed + offset) for w in words])
        arrays[f"y_{part}"] = np.repeat(words, number)
    np.savez(path, **arrays)
    return path


def teacher(path: Path, words: list[str], steps: int = 60, size: int = 8) -> Path:
    """A small network trained on these classes, at this side in pixels; not at all where ``steps`` is 0."""
    torch.manual_seed(0)
    model = load("cnn@width=16", classes=sorted(words), input_shape=(1, size, size))
    x = np.concatenate([images(WORDS.index(w), 60, 5000) for w in sorted(words)])[:, None] / np.float32(255)
    inputs = F.interpolate(torch.from_numpy(x), (size, size), mode="bilinear", antialias=True)
    y = torch.arange(len(words)).repeat_interleave(60)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), y).backward()
        optimizer.step()
    model.save(path)
    return path
