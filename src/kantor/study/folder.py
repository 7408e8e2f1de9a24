"""The run's folder: who may write in it, and where things are."""

import contextlib
import importlib.metadata
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from kantor.core.collectives import rank, world_size
from kantor.core.cores import cores
from kantor.core.errors import ConfigError, DataError, KantorError
from kantor.core.lines import append_line, read_lines
from kantor.core.locks import lock
from kantor.core.reading import read_json
from kantor.study.kept import Diverged, Environment, Finished, Tuned
from kantor.study.methods import Method

PROBE = "probe.json"
"""What `kantor probe` found, by data set."""
TUNING = "tuning.json"
"""What the weight search tried and chose, by method."""
BEGAN = "began.json"
"""What the run began with: settings, and digests of data and networks."""
TIMING = "timing.jsonl"
"""Seconds, stretch by stretch."""
BEFORE_WORK = {"config.yaml", "environment.json", ".lock", BEGAN, TIMING}
"""All that a run's folder holds until it has found its data and teachers."""


@dataclass(frozen=True)
class Task:
    """One student to train."""

    method: Method
    seed: int
    factor: float | None = None
    """A trial of the weight search, with the method's weights times this; None for a student of the comparison."""

    @property
    def label(self) -> str:
        """As progress and errors call it."""
        trial = "" if self.factor is None else f" x {self.factor:g}"
        return f"{self.method.name}{trial}, seed {self.seed}"

    def folder(self, run: Path) -> Path:
        """Where it lives: ``METHOD/seed-K``, trials under ``tuning/xFACTOR``."""
        root = run if self.factor is None else run / "tuning" / f"x{self.factor:g}"
        return root / self.method.folder / f"seed-{self.seed}"


def read_result(folder: Path) -> dict[str, Any] | None:
    """The outcome of a finished seed, None if it is not finished.

    Raises:
        DataError: it is damaged.
    """
    return read_json(folder / "result.json", Finished | Diverged) or None


@contextlib.contextmanager
def timed(run: Path, stage: str) -> Iterator[None]:
    """Add the seconds of a stage of step 0 to the run's ``timing.jsonl``; those of an interrupted one count too."""
    begin = time.perf_counter()
    try:
        yield
    finally:
        if rank() == 0:
            append_line(run / TIMING, {"stage": stage, "seconds": round(time.perf_counter() - begin, 4)})


def stage_seconds(run: Path) -> dict[str, float]:
    """Seconds of every stage of step 0, over all times that it ran in this folder."""
    total: dict[str, float] = {}
    for line in read_lines(run / TIMING):
        if {"stage", "seconds"} <= set(line):
            total[line["stage"]] = total.get(line["stage"], 0.0) + line["seconds"]
    return total


def tuned_factor(run: Path, method: Method) -> float:
    """The factor the weight search chose for a method; 1 where nothing was tuned."""
    chosen = read_json(run / TUNING, dict[str, Tuned])
    return chosen[method.name]["chosen"] if chosen else 1.0


@contextlib.contextmanager
def locked(folder: Path, patience: float = 20.0) -> Iterator[None]:
    """Hold ``folder`` against a second process; the lock dies with its holder.

    Args:
        folder: made if it is not there.
        patience: seconds to wait for the worker of a killed study to notice and end.

    Raises:
        ConfigError: another process holds it.
        KantorError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise KantorError(
            f"Could not write in {folder}: {error.strerror}. Make it writable, or begin a run elsewhere by --out."
        ) from error
    with file:
        deadline = time.monotonic() + patience
        while not lock(file):
            if time.monotonic() > deadline:
                raise ConfigError(f"Another process is working in {folder}. Wait for it, or stop it.")
            time.sleep(0.1)
        yield


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
        "command": shlex.join(["kantor", *sys.argv[1:]]),
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
        with contextlib.chdir(started):
            yield given
        return
    try:
        yield [run, *typed]
    except (ConfigError, DataError) as error:
        raise type(error)(f"{error} (Paths in the run's settings begin in {started}, where it was started.)") from error


def _started_in(run: Path) -> Path | None:
    facts = run / "environment.json"
    directory = read_json(facts, Environment).get("directory") if facts.is_file() else None
    return Path(directory) if isinstance(directory, str) else None


def _version(name: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return "not installed"
