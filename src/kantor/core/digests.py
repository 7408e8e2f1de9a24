"""Digests of files and tensors, by which a later look tells whether they are what they were."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_digest(tensors: Mapping[str, Any], values: bool = True) -> str:
    """SHA-256 of names, types and shapes, and of every bit of the values unless ``values`` is off."""
    digest = hashlib.sha256()
    for name, x in sorted(tensors.items()):
        if not isinstance(x, Tensor):  # a module's extra state may be anything
            continue
        digest.update(f"{name} {x.dtype} {tuple(x.shape)};".encode())
        if values:
            digest.update(x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
