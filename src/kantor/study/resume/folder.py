"""The run's folder: what it ran with, and where paths in its settings begin."""

import contextlib
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from kantor.core.collectives import world_size
from kantor.core.cores import cores
from kantor.core.errors import ConfigError, DataError
from kantor.core.locks import LOCK, soft
from kantor.core.reading import read_json
from kantor.results.files import BEGAN, TIMING
from kantor.results.records import Environment

BEFORE_WORK = {"config.yaml", "environment.json", LOCK, soft(Path(LOCK)).name, BEGAN, TIMING}
"""All that a run's folder holds until it has found its data and teachers."""


def environment() -> dict[str, Any]:
    """What a run ran with: versions, machine, command, and when it began."""
    packages = ("kantor", "torch", "numpy", "scipy", "numba", "accelerate", "safetensors", "pillow")
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "machine": platform.machine(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "cores": cores(),
        "processes": world_size(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "command": _command(),
        "directory": str(Path.cwd()),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@contextlib.contextmanager
def where_started(run: Path, *typed: str | None) -> Iterator[list[Any]]:
    """Work in the directory that a run was started in, where the paths in its settings begin.

    Where that is gone, as on another machine, it is said with what goes wrong.

    Args:
        run: its folder.
        typed: paths and names that begin where the user is.

    Yields:
        The run's folder and what was typed, as they are called from there.
    """
    started = _started_in(run)
    if started is None or started == Path.cwd():
        yield [run, *typed]
        return
    if started.is_dir():
        given = [
            run.absolute(),
            *(str(Path(text).absolute()) if text and Path(text).exists() else text for text in typed),
        ]
        # Under `python -c` and in a notebook "" stands for whatever directory one is in: nothing is imported from this.
        before, here = list(sys.path), str(Path.cwd())
        sys.path[:] = [entry or here for entry in before]
        try:
            with contextlib.chdir(started):
                yield given
        finally:
            sys.path[:] = before
        return
    try:
        yield [run, *typed]
    except (ConfigError, DataError) as error:
        raise type(error)(f"{error} (Paths in the run's settings begin in {started}, where it was started.)") from error


def _started_in(run: Path) -> Path | None:
    facts = run / "environment.json"
    directory = read_json(facts, Environment).get("directory") if facts.is_file() else None
    return Path(directory) if isinstance(directory, str) else None


def _command() -> str:
    """What was called: the command, or the program that a study was begun from."""
    program = Path(sys.argv[0]).name
    own = program.partition(".")[0] in ("kantor", "__main__")
    return shlex.join(["kantor", *sys.argv[1:]] if own else ["python", program, *sys.argv[1:]])


def _version(name: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return "not installed"
