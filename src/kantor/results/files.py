"""The files of a run's folder: how they are called, and what those say that many ask for."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kantor.core.collectives import rank
from kantor.core.lines import append_line, read_lines
from kantor.core.sealed_json import read_sealed_json
from kantor.results.records import Diverged, Finished, Timed

PROBE = "probe.json"
"""What `kantor probe` found, by data set."""
TUNING = "tuning.json"
"""What the weight search tried and chose, by method."""
BEGAN = "began.json"
"""What the run began with: settings, and digests of data and networks."""
TIMING = "timing.jsonl"
"""Seconds, stretch by stretch."""
PLAN_SAMPLES = "plan-samples.npz"
"""The samples that plans are recorded on."""


def plan_samples_file(run: Path) -> Path:
    """Where a run keeps the samples that plans are recorded on; folders of formats 1 and 2 call it ``probe.npz``."""
    earlier = run / "probe.npz"
    return earlier if earlier.exists() else run / PLAN_SAMPLES


def read_result(folder: Path) -> dict[str, Any] | None:
    """The outcome of a finished seed, None if it is not finished.

    Raises:
        DataError: it was changed or damaged since it was written.
    """
    return read_sealed_json(folder / "result.json", Finished | Diverged) or None


@contextlib.contextmanager
def timed(run: Path, part: str) -> Iterator[None]:
    """Add the seconds of a part of step 0 to the run's ``timing.jsonl``; those of an interrupted one count too."""
    begin = time.perf_counter()
    try:
        yield
    finally:
        if rank() == 0:
            append_line(run / TIMING, {"stage": part, "seconds": round(time.perf_counter() - begin, 4)})


def seconds_before(run: Path) -> dict[str, float]:
    """Seconds of every part of step 0, over all times that it ran in this folder."""
    total: dict[str, float] = {}
    for line in read_lines(run / TIMING, Timed):
        if "stage" in line:
            total[line["stage"]] = total.get(line["stage"], 0.0) + line["seconds"]
    return total
