"""Train every student of a study: here, one by one, or in worker processes, with the same results."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from types import ModuleType
from typing import Any

from kantor.core import trust
from kantor.core.collectives import wait_for_all, world_size
from kantor.core.errors import KantorError
from kantor.core.seal import check_files
from kantor.results.files import read_result
from kantor.study.execution.job import Job
from kantor.study.execution.parallel import jobs_for
from kantor.study.execution.progress import Display
from kantor.study.execution.student import Workbench, use_threads
from kantor.study.execution.worker import begin, train
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.study import Study
from kantor.training import Interrupted

Watch = Callable[[Job, dict[str, Any]], None]
"""Told (job, event) as training goes on; ``{"event": "done"}`` when a student is finished."""


def train_all(run: Path, jobs: Sequence[Job], config: Study, display: Display, bench: Workbench | None = None) -> None:
    """Train every student of ``jobs`` that is not finished, with progress; on ``bench`` those that train here.

    Raises:
        DataError: files of a finished student are not what they were.
        Interrupted, KantorError: see :func:`execute`.
    """
    unfinished = [job for job in jobs if read_result(job.folder(run)) is None]
    for job in jobs:
        check_files(job.folder(run))
    display.students(len(jobs), len(jobs) - len(unfinished))
    if unfinished:
        execute(run, unfinished, jobs_for(config, Prepared.read(run).threads), display.student, bench)
    wait_for_all()


def execute(run: Path, jobs: Sequence[Job], at_once: int, watch: Watch, bench: Workbench | None = None) -> None:
    """Train the students of ``jobs`` and leave each in its folder.

    A student that fails does not stop the others; what failed is raised at the end.

    Args:
        run: the run's folder, prepared.
        jobs: whom to train.
        at_once: how many of them. With several processes under ``torchrun`` it is one.
        watch: told of progress.
        bench: the run's data and teachers, where they are open; not for workers.

    Raises:
        Interrupted: SIGTERM or Ctrl-C; every student under way left a checkpoint.
        KantorError: a student could not be trained.
    """
    at_once = min(at_once, len(jobs))
    if at_once <= 1 or world_size() > 1:
        _here(bench or Workbench(run), jobs, watch)
    else:
        _in_workers(run, jobs, at_once, watch)


def _here(bench: Workbench, jobs: Sequence[Job], watch: Watch) -> None:
    use_threads(bench.plan.threads)
    failures: list[str] = []
    for job in jobs:
        try:
            bench.train(job, lambda event, job=job: watch(job, {"event": "progress", **event}))
            watch(job, {"event": "done"})
        except Interrupted:
            raise
        except KantorError as error:
            if world_size() > 1:
                raise  # the other ranks cannot know that this one goes on
            failures.append(f"{job.label}: {error}")
            watch(job, {"event": "error", "message": str(error)})
    _raise(failures)


class _Worker:
    """A process that trains students, one after another.

    It has an executor of its own: where a process dies its executor is broken, and the others are to go on.

    Args:
        run: the run's folder, prepared.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.job: Job | None = None
        spawn = multiprocessing.get_context("spawn")
        self.events, told = spawn.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(1, spawn, begin, (trust.allowed(), told))
        others = multiprocessing.active_children()
        self._executor.submit(os.getpid)  # starts the process
        (self.process,) = set(multiprocessing.active_children()) - set(others)
        told.close()  # so that its end is seen at ours
        self._student: Future[dict[str, Any]] | None = None

    def give(self, job: Job) -> None:
        """Let it train a student."""
        self.job, self._student = job, None
        with contextlib.suppress(BrokenProcessPool):  # it died; that is an event of its own
            self._student = self._executor.submit(train, self.run, job.method.name, job.seed, job.factor)

    def next_event(self) -> dict[str, Any]:
        """What it tells of its student: progress, or how that ended (``job`` is None then)."""
        with contextlib.suppress(EOFError, OSError):  # its process died
            if (event := self.events.recv()) is not None:
                return event
        self.job = None
        with contextlib.suppress(BrokenProcessPool):
            if self._student is not None:
                return self._student.result()
        self.end()
        code = self.process.exitcode or 0
        why = f"its process ended with {signal.Signals(-code).name if code < 0 else f'code {code}'}"
        return {"event": "interrupted" if code == -signal.SIGTERM else "ended", "message": why}

    def end(self) -> None:
        """Wait for the end of its student, and of the process."""
        self._executor.shutdown()
        self.events.close()


def _in_workers(run: Path, jobs: Sequence[Job], at_once: int, watch: Watch) -> None:
    waiting = list(reversed(jobs))
    failures: list[str] = []
    interrupted = False
    with _workers(run, at_once, Prepared.read(run).threads) as workers, _forwarded(workers):
        for worker in workers:
            worker.give(waiting.pop())
        while busy := {worker: worker.job for worker in workers if worker.job is not None}:
            ready = wait([worker.events for worker in busy])
            for worker, job in busy.items():
                if worker.events not in ready:
                    continue
                event = worker.next_event()
                kind = event["event"]
                interrupted |= kind == "interrupted"
                if kind in ("error", "bug", "ended"):
                    failures.append(f"{job.label}: {event['message']}")
                watch(job, event)
                if kind in ("done", "error", "bug") and waiting and not interrupted:
                    worker.give(waiting.pop())
    if interrupted:
        raise Interrupted("Stopped; `kantor resume` goes on from there.")
    _raise(failures)


@contextlib.contextmanager
def _workers(run: Path, number: int, threads: int) -> Iterator[list[_Worker]]:
    """So many workers; all have ended when this is left, at once where something failed here."""
    workers: list[_Worker] = []
    try:
        with _inherited(threads):
            workers.extend(_Worker(run) for _ in range(number))
        yield workers
    except BaseException:
        for worker in workers:
            worker.process.kill()
        raise
    finally:
        for worker in workers:
            worker.end()


@contextlib.contextmanager
def _inherited(threads: int) -> Iterator[None]:
    """What a process begins with if it is started meanwhile."""
    # The number of threads comes before numpy is loaded, whose BLAS takes it from here. A worker imports from where
    # this process does, and not from where a run's file says that it was started.
    given = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads), "PYTHONSAFEPATH": "1"}
    before, main = dict(os.environ), sys.modules["__main__"]
    os.environ.update(given)
    resource_tracker.ensure_running()  # before Ctrl-C is held back: where it starts, it lets that through again
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    # A worker needs nothing of the user's script, which would else be run in it again.
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name in given:
            del os.environ[name]
        os.environ.update({name: before[name] for name in given if name in before})
        if masked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)


@contextlib.contextmanager
def _forwarded(workers: list[_Worker]) -> Iterator[None]:
    """Pass SIGTERM and Ctrl-C on to the workers, which save and end; after that Ctrl-C ends them at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def forward(number: int, frame: object) -> None:  # noqa: ARG001
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for worker in workers:
            worker.process.terminate()

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(failures: list[str]) -> None:
    if failures:
        raise KantorError("Not every student could be trained.\n" + "\n".join(failures))
