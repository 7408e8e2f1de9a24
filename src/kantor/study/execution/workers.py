"""Train every student of a study: here, one by one, or in worker processes, with the same results."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kantor.core import trust
from kantor.core.collectives import wait_for_all, world_size
from kantor.core.errors import KantorError
from kantor.results.files import read_result
from kantor.results.seal import check_files
from kantor.study.execution.job import Job
from kantor.study.execution.parallel import jobs_for
from kantor.study.execution.progress import Display
from kantor.study.execution.student import Workbench, use_threads
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.study import Study
from kantor.training import Interrupted

Watch = Callable[[Job, dict[str, Any]], None]
"""Told (task, event) as training goes on; ``{"event": "done"}`` when a student is finished."""


def train_all(run: Path, tasks: Sequence[Job], config: Study, display: Display, bench: Workbench | None = None) -> None:
    """Train every student of ``tasks`` that is not finished, with progress; on ``bench`` those that train here.

    Raises:
        DataError: files of a finished student are not what they were.
        Interrupted, KantorError: see :func:`execute`.
    """
    unfinished = [task for task in tasks if read_result(task.folder(run)) is None]
    for task in tasks:
        check_files(task.folder(run))
    display.students(len(tasks), len(tasks) - len(unfinished))
    if unfinished:
        execute(run, unfinished, jobs_for(config, Prepared.read(run).threads), display.student, bench)
    wait_for_all()


def execute(run: Path, tasks: Sequence[Job], jobs: int, watch: Watch, bench: Workbench | None = None) -> None:
    """Train the students of ``tasks`` and leave each in its folder.

    A student that fails does not stop the others; what failed is raised at the end.

    Args:
        run: the run's folder, prepared.
        tasks: what to train.
        jobs: how many at once. With several processes under ``torchrun`` it is one.
        watch: told of progress.
        bench: the run's data and teachers, where they are open; not for workers.

    Raises:
        Interrupted: SIGTERM or Ctrl-C; every student under way left a checkpoint.
        KantorError: a student could not be trained.
    """
    jobs = min(jobs, len(tasks))
    if jobs <= 1 or world_size() > 1:
        _here(bench or Workbench(run), tasks, watch)
    else:
        _in_workers(run, tasks, jobs, watch)


def _here(bench: Workbench, tasks: Sequence[Job], watch: Watch) -> None:
    use_threads(bench.plan.threads)
    failures: list[str] = []
    for task in tasks:
        try:
            bench.train(task, lambda event, task=task: watch(task, {"event": "progress", **event}))
            watch(task, {"event": "done"})
        except Interrupted:
            raise
        except KantorError as error:
            if world_size() > 1:
                raise  # the other ranks cannot know that this one goes on
            failures.append(f"{task.label}: {error}")
            watch(task, {"event": "error", "message": str(error)})
    _raise(failures)


def _in_workers(run: Path, tasks: Sequence[Job], jobs: int, watch: Watch) -> None:
    waiting = list(reversed(tasks))
    events: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
    failures: list[str] = []
    interrupted = False
    with _workers(run, jobs, Prepared.read(run).threads, events) as workers, _forwarded(workers):
        current: dict[int, Job] = {}

        def give(index: int) -> None:
            if waiting and not interrupted:
                current[index] = waiting.pop()
                task = current[index]
                with contextlib.suppress(BrokenPipeError):  # it died; its end is an event of its own
                    _stdin(workers[index]).write(json.dumps([task.method.name, task.seed, task.factor]) + "\n")
                    _stdin(workers[index]).flush()

        for index in range(jobs):
            give(index)
        while current:
            index, event = events.get()
            if index not in current:
                continue
            kind = event["event"]
            if kind in ("error", "bug", "ended"):
                failures.append(f"{current[index].label}: {event['message']}")
            if kind == "interrupted":
                interrupted = True
            watch(current[index], event)
            if kind != "progress":
                del current[index]
            if kind in ("done", "error", "bug"):
                give(index)
            if kind == "ended" and not current and waiting and not interrupted:
                break  # every worker is dead
    if interrupted:
        raise Interrupted("Stopped; `kantor resume` goes on from there.")
    _raise(failures)


@contextlib.contextmanager
def _workers(run: Path, jobs: int, threads: int, events: "queue.Queue[Any]") -> Iterator[list["subprocess.Popen[str]"]]:
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "kantor.study.execution.worker", str(run), *trust.allowed()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # Before numpy is loaded: its BLAS takes the number of threads from here.
            # It imports from where this process does, and not from where a run's file says that it was started.
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                "OPENBLAS_NUM_THREADS": str(threads),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "PYTHONSAFEPATH": "1",
            },
            # A group of its own: Ctrl-C reaches the study, which passes it on once.
            start_new_session=True,
        )
        for _ in range(jobs)
    ]

    def listen(index: int) -> None:
        worker = workers[index]
        assert worker.stdout is not None
        for line in worker.stdout:
            with contextlib.suppress(ValueError):  # cut off by its end, which is an event of its own
                events.put((index, json.loads(line)))
        code = worker.wait()
        why = f"its process ended with {signal.Signals(-code).name if code < 0 else f'code {code}'}"
        events.put((index, {"event": "interrupted" if code == -signal.SIGTERM else "ended", "message": why}))

    listeners = [threading.Thread(target=listen, args=(index,), daemon=True) for index in range(jobs)]
    for listener in listeners:
        listener.start()
    try:
        yield workers
    finally:
        for worker in workers:
            with contextlib.suppress(OSError):
                _stdin(worker).close()
        for worker, listener in zip(workers, listeners, strict=True):
            listener.join()
            assert worker.stdout is not None
            worker.stdout.close()


@contextlib.contextmanager
def _forwarded(workers: list["subprocess.Popen[str]"]) -> Iterator[None]:
    """Pass SIGTERM and Ctrl-C on to the workers, which save and end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def forward(number: int, frame: object) -> None:  # noqa: ARG001
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGTERM)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stdin(worker: "subprocess.Popen[str]") -> Any:
    assert worker.stdin is not None
    return worker.stdin


def _raise(failures: list[str]) -> None:
    if failures:
        raise KantorError("Not every student could be trained.\n" + "\n".join(failures))
