"""Fixtures that several parts share."""

import gc
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from kantor.core import trust
from tests.torchvision_operators import define

# What runs were made with and what is known of data is kept in the user's home, which tests leave alone; their commands
# inherit this.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="kantor-state-")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="kantor-cache-")

# Two threads fight over tiny tensors; one is faster, and results must not depend on the machine's cores.
torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _what_is_frozen_ends_with_the_session() -> Iterator[None]:
    yield
    gc.unfreeze()  # Hypothesis, which is imported when all is over, asks who refers to what


@pytest.fixture(autouse=True, scope="module")
def _libraries_are_not_garbage() -> None:
    """Every training collects garbage at its end: half a second where it has to walk all that was ever imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout (or where KANTOR_DATA points); skips where it is missing."""
    folder = Path(os.environ.get("KANTOR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the real data sets, looked for in {folder} (set KANTOR_DATA)")
    return folder


@pytest.fixture
def write_module(tmp_path, monkeypatch) -> Iterator[Callable[[str, str], str]]:
    """Writes a module of the user's, also for other processes, and returns its name. Nothing is trusted before."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    written: list[str] = []

    def write(name: str, text: str) -> str:
        (folder / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        written.append(name)
        return name

    trust.forget()
    yield write
    trust.forget()
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A study trained in this process flushes denormals to zero, which Hypothesis refuses to work with."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def torchvision_operators() -> None:
    """Makes torchvision importable beside a CPU build of torch; skips where it is not installed."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("needs torchvision")
    define()
