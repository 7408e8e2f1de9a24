"""A worker process: trains the students it is given (:mod:`~kantor.study.execution.workers`), one after another.

It never outlives its study, and nothing that a user's network prints, reads or does to its group of processes reaches
the study's own terminal.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kantor.core import trust
from kantor.core.errors import KantorError
from kantor.study.execution.job import Job
from kantor.study.execution.student import Workbench, use_threads
from kantor.training import Interrupted

_events: Connection
"""Where this process tells of its progress."""


def begin(codes: Sequence[str], events: Connection) -> None:
    """Make this process a worker.

    Args:
        codes: the users' code that it may import (:mod:`kantor.core.trust`).
        events: where it tells of its progress.
    """
    global _events
    _events = events
    if hasattr(os, "setsid"):  # a group of its own: what the terminal sends to the study's, the study passes on once
        os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_the_study, daemon=True).start()
    trust.allow(codes)


def train(run: Path, method: str, seed: int, factor: float | None) -> dict[str, Any]:
    """Train one student, tell of it, and at its end tell None.

    Args:
        run: the run's folder, prepared.
        method: its name.
        seed: the student's.
        factor: of a trial of the weight search; see :class:`~kantor.study.execution.job.Job`.

    Returns:
        How it ended: ``event`` is done, interrupted, error (``message`` is for the user) or bug (it is a traceback).
    """
    try:
        bench = _bench(run)
        bench.train(Job(bench.methods[method], seed, factor), lambda event: _tell({"event": "progress", **event}))
        return {"event": "done"}
    except Interrupted as error:
        return {"event": "interrupted", "message": str(error)}
    except KantorError as error:
        return {"event": "error", "message": str(error)}
    except KeyboardInterrupt:
        raise
    except BaseException:  # as text: a user's own exception need not survive the way; sys.exit() in a network is no end
        return {"event": "bug", "message": traceback.format_exc()}
    finally:
        _tell(None)


@cache
def _bench(run: Path) -> Workbench:
    """Opened once for all students of this process."""
    bench = Workbench(run)
    use_threads(bench.plan.threads)
    return bench


def _tell(event: dict[str, Any] | None) -> None:
    with contextlib.suppress(OSError):  # the study is gone, and this process ends soon
        _events.send(event)


def _end_with_the_study() -> None:
    study = multiprocessing.parent_process()
    assert study is not None
    study.join()
    while True:  # while a student trains: a checkpoint at its next step; else, or after that, the end
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
