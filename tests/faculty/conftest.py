"""Lets the tests of this folder share planted.py, however pytest is started."""

import sys
from pathlib import Path

import pytest

root = str(Path(__file__).parents[2])
if root not in sys.path:
    sys.path.insert(0, root)


@pytest.fixture(scope="session")
def faculty(tmp_path_factory) -> Path:
    """A folder with vectors.npz, the task (cat, dog) and teachers: related, unrelated, untrained."""
    from tests.faculty import planted

    folder = tmp_path_factory.mktemp("faculty")
    planted.vectors(folder / "vectors.npz")
    planted.task(folder / "pets.npz", ["cat", "dog"])
    planted.teacher(folder / "related.safetensors", ["cat", "dog", "wolf"])
    planted.teacher(folder / "unrelated.safetensors", ["car", "truck", "bus"])
    planted.teacher(folder / "untrained.safetensors", ["cat", "dog", "wolf"], steps=0)
    return folder
